import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { SpecError } from '@modelmill/client';
import { parseAllDocuments } from 'yaml';
import { CliError } from './cli-error.js';
import { errorMessage } from './system-error.js';

/** The specs of a YAML (or JSON) file, one per document. Throws CliError that names the file and the place. */
export async function readSpecs<Spec>(cwd: string, file: string, parse: (json: unknown) => Spec): Promise<Spec[]> {
  const text = await readFile(resolve(cwd, file), 'utf8').catch((error: unknown) => {
    throw new CliError(`${file} cannot be read: ${errorMessage(error)}`);
  });
  const documents = parseAllDocuments(text, { intAsBigInt: false });
  if (!Array.isArray(documents) || documents.length === 0) throw new CliError(`${file} holds no spec`);
  return documents.map((document, index) => {
    const where = documents.length > 1 ? `${file}, document ${index + 1}` : file;
    const [problem] = document.errors;
    if (problem) throw new CliError(`${where}: ${problem.message.split('\n')[0]}`);
    try {
      return parse(document.toJS());
    } catch (error) {
      if (error instanceof SpecError) throw new CliError(`${where}: ${error.message}`, { cause: error });
      throw error;
    }
  });
}
