import { JobFailedError } from '@modelmill/store';

/** Fails a job whose pass would change nothing. */
export const nothingTo = (what: string) => new JobFailedError(`there is nothing to ${what}`);
