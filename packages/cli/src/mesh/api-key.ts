import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../system-error.js';

/** The key in the state folder, made on first use and readable by its owner alone. */
export async function apiKeyOf(state: string): Promise<{ key: string; isNew: boolean }> {
  const path = join(state, 'api-key');
  const key = `mill_${randomBytes(24).toString('base64url')}`;
  try {
    await writeFile(path, `${key}\n`, { mode: 0o600, flag: 'wx' });
    return { key, isNew: true };
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    return { key: (await readFile(path, 'utf8')).trim(), isNew: false };
  }
}
