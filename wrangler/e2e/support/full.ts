// How much the specs play: enough to show it on every run, and with `--full` what it was measured with.
export const FULL = process.env.TERN_FULL === '1';

/** The smaller size of an ordinary run, the larger one of `--full`. */
export const sized = <T>(ordinary: T, full: T): T => (FULL ? full : ordinary);
