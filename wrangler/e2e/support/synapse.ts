// Synapse as another server, with TLS in front of it and of ours, on this machine alone.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { eventually } from './client.ts';
import { CHECKOUT, freePort, own, type Server } from './server.ts';
import { TlsFront, type Certificates } from './tls-front.ts';

const START_MS = 120_000;

/** A Python with Synapse, as `cargo xtask test` makes it. */
const PYTHON = [join(CHECKOUT, '.tools/synapse/bin/python'), process.env.TERN_SYNAPSE_PYTHON].find((path) => path && existsSync(path));

/** Why Synapse cannot be run; else false. */
export const missing: string | false = PYTHON ? false : 'NOT RUN: Synapse is not installed (TERN_SYNAPSE_PYTHON names a Python that has it)';

export interface Federation {
  tern: Server;
  synapse: Synapse;
  /** What Synapse asks of Tern goes through this one. */
  toTern: TlsFront;
  /** What Tern asks of Synapse goes through this one. */
  toSynapse: TlsFront;
  /** The authority that both sides trust, as a file. */
  ca: string;
}

/** Our server and Synapse, which find each other under localhost names; stopped after the tests of the file. */
export async function federation(vars: Record<string, unknown> = {}): Promise<Federation> {
  const folder = mkdtempSync(join(tmpdir(), 'tern-e2e-synapse-'));
  const certificates = certify(folder);
  const [toTern, toSynapse] = [await TlsFront.start(certificates), await TlsFront.start(certificates)];
  const synapse = new Synapse(folder, toSynapse.name, await freePort());
  toSynapse.to = synapse.port;
  after(async () => {
    await synapse.stop();
    for (const front of [toTern, toSynapse]) front.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const [tern] = await Promise.all([
    own({ vars: { OUTBOUND_PRIVATE: 'true', SERVER_NAME: toTern.name, ...vars }, env: { NODE_EXTRA_CA_CERTS: certificates.ca } }),
    synapse.start(),
  ]);
  toTern.to = tern.port;
  return { tern, synapse, toTern, toSynapse, ca: certificates.ca };
}

function certify(folder: string): Certificates {
  const made = spawnSync(PYTHON!, [join(import.meta.dirname, 'certificates.py'), folder], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`no certificates: ${made.stderr}`);
  const file = (name: string) => join(folder, name);
  return { ca: file('ca.pem'), cert: readFileSync(file('leaf.pem')), key: readFileSync(file('leaf.key')) };
}

export class Synapse {
  readonly port: number;
  readonly name: string;
  readonly #folder: string;
  #child: ChildProcess | undefined;

  constructor(folder: string, name: string, port: number) {
    this.#folder = folder;
    this.name = name;
    this.port = port;
    writeFileSync(this.#config, JSON.stringify(this.#settings()));
    const made = this.#python(['-m', 'synapse.app.homeserver', '-c', this.#config, '--generate-keys']);
    if (made.status !== 0) throw new Error(`Synapse has no keys: ${made.stderr}`);
  }

  /** The Client-Server API. */
  get base(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** JSON is YAML. */
  get #config(): string {
    return join(this.#folder, 'homeserver.yaml');
  }

  #python(args: string[]) {
    return spawnSync(PYTHON!, args, { cwd: this.#folder, encoding: 'utf8' });
  }

  #settings(): Record<string, unknown> {
    const file = (name: string) => join(this.#folder, name);
    const often = { per_second: 10_000, burst_count: 10_000 };
    // Synapse leaves a server that failed alone for ten minutes.
    const soon = { destination_min_retry_interval: '1s', destination_retry_multiplier: 1, destination_max_retry_interval: '5s' };
    writeFileSync(file('log.yaml'), JSON.stringify({
      version: 1, formatters: { line: { format: '%(asctime)s %(name)s %(levelname)s %(message)s' } },
      handlers: { file: { class: 'logging.FileHandler', filename: file('synapse.log'), formatter: 'line' } },
      root: { level: 'INFO', handlers: ['file'] },
    }));
    return {
      server_name: this.name, pid_file: file('pid'), signing_key_path: file('signing.key'), media_store_path: file('media'),
      log_config: file('log.yaml'), report_stats: false, suppress_key_server_warning: true, trusted_key_servers: [],
      listeners: [{ port: this.port, tls: false, type: 'http', x_forwarded: true, bind_addresses: ['127.0.0.1'],
        resources: [{ names: ['client', 'federation'], compress: false }] }],
      database: { name: 'sqlite3', args: { database: file('synapse.db') } },
      federation_custom_ca_list: [file('ca.pem')], ip_range_blacklist: [], federation_verify_certificates: true,
      federation: soon, allow_public_rooms_over_federation: true, room_list_publication_rules: [{ action: 'allow' }], enable_registration: true, enable_registration_without_verification: true,
      registration_shared_secret: 'shared', macaroon_secret_key: 'macaroon', form_secret: 'form',
      rc_message: often, rc_registration: often, rc_federation: { window_size: 1000, sleep_limit: 10_000, sleep_delay: 1, reject_limit: 10_000, concurrent: 100 },
      rc_login: { address: often, account: often, failed_attempts: often }, rc_joins: { local: often, remote: often },
      rc_joins_per_room: often, rc_invites: { per_room: often, per_user: often, per_issuer: often }, rc_room_creation: often,
    };
  }

  async start(): Promise<void> {
    const log = openSync(join(this.#folder, 'out.log'), 'a');
    const child = spawn(PYTHON!, ['-m', 'synapse.app.homeserver', '-c', this.#config], { cwd: this.#folder, stdio: ['ignore', log, log] });
    this.#child = child;
    await eventually('Synapse answers', async () => {
      if (child.exitCode !== null) throw new Error(`Synapse ended with ${child.exitCode}: ${readFileSync(join(this.#folder, 'out.log'), 'utf8').slice(-2000)}`);
      return fetch(`${this.base}/_matrix/client/versions`).then(({ ok }) => ok, () => false);
    }, START_MS);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null) return;
    child.kill('SIGTERM');
    await eventually('Synapse ends', async () => child.exitCode !== null || child.signalCode !== null, 30_000).catch(() => child.kill('SIGKILL'));
  }
}
