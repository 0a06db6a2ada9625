// The Python that has the packages of requirements.txt.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from './server.ts';

export function python(): string {
  const venv = join(CHECKOUT, '.tools/venv/bin/python');
  const found = existsSync(venv) ? venv : process.env.TERN_PYTHON;
  if (!found) throw new Error('no .tools/venv with requirements.txt in it; name a Python that has matrix-nio in TERN_PYTHON');
  return found;
}
