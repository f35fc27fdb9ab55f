/** A model that may not be served; the message says what was got and what is wanted. */
export class AdmissionError extends Error {
  override readonly name = 'AdmissionError';
}
