/** What a job does. */
export type JobKind = 'train' | 'optimize';
