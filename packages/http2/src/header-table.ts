/** A header's name and value. */
export type HeaderField = readonly [name: string, value: string];

/** A header block that breaks RFC 7541, after which the connection's state is lost. */
export class HeaderBlockError extends Error {}

/** What every field counts for beside its name and value (RFC 7541 4.1, RFC 9113 6.5.2). */
export const fieldOverheadBytes = 32;

/** Bytes of a field as tables and lists of fields count them. */
export const fieldBytes = (field: HeaderField): number => field[0].length + field[1].length + fieldOverheadBytes;

const frozen = (name: string, value: string): HeaderField => Object.freeze([name, value] as const);

/** The static table, RFC 7541 appendix A: what index 0 would be is empty. */
export const staticFields: readonly HeaderField[] = [
  frozen('', ''),
  frozen(':authority', ''),
  ...['GET', 'POST'].map((value) => frozen(':method', value)),
  ...['/', '/index.html'].map((value) => frozen(':path', value)),
  ...['http', 'https'].map((value) => frozen(':scheme', value)),
  ...['200', '204', '206', '304', '400', '404', '500'].map((value) => frozen(':status', value)),
  frozen('accept-charset', ''),
  frozen('accept-encoding', 'gzip, deflate'),
  ...(
    'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control ' +
    'content-disposition content-encoding content-language content-length content-location content-range ' +
    'content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range ' +
    'if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range ' +
    'referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary via ' +
    'www-authenticate'
  )
    .split(' ')
    .map((name) => frozen(name, '')),
];

/** What a connection begins with, until the peer announces another size (RFC 9113 6.5.2). */
const initialBytes = 4096;

/** The fields that both ends of a connection remember, addressed after the static ones with the newest first. */
export class HeaderTable {
  /** A ring; its length is a power of two. */
  readonly #slots: HeaderField[];
  #newest = 0;
  #count = 0;
  #bytes = 0;
  #maxBytes: number;

  /** @param limitBytes the largest size that the peer may choose. */
  constructor(readonly limitBytes: number) {
    this.#maxBytes = Math.min(limitBytes, initialBytes);
    const slots = 2 ** Math.ceil(Math.log2(Math.max(1, limitBytes / fieldOverheadBytes)));
    this.#slots = new Array<HeaderField>(slots).fill(staticFields[0]!);
  }

  /** The field of an index: always the same object. */
  field(index: number): HeaderField {
    if (index < staticFields.length && index > 0) return staticFields[index]!;
    const age = index - staticFields.length;
    if (age >= this.#count || age < 0) throw this.#noField(index);
    return this.#slots[(this.#newest - age) & (this.#slots.length - 1)]!;
  }

  #noField(index: number): HeaderBlockError {
    return new HeaderBlockError(`index ${index}, wants 1 to ${staticFields.length - 1 + this.#count}`);
  }

  /** Remembers a field and gives it as it is kept; one larger than the table empties it (RFC 7541 4.4). */
  add(name: string, value: string): HeaderField {
    const field = frozen(name, value);
    const bytes = fieldBytes(field);
    this.#shrink(this.#maxBytes - bytes);
    if (bytes > this.#maxBytes) return field;
    this.#newest = (this.#newest + 1) & (this.#slots.length - 1);
    this.#slots[this.#newest] = field;
    this.#count++;
    this.#bytes += bytes;
    return field;
  }

  /** The peer's choice of size. */
  resize(maxBytes: number): void {
    if (maxBytes > this.limitBytes) {
      throw new HeaderBlockError(`the peer wants a table of ${maxBytes} bytes, the limit is ${this.limitBytes}`);
    }
    this.#maxBytes = maxBytes;
    this.#shrink(maxBytes);
  }

  /** Forgets the oldest fields. */
  #shrink(toBytes: number): void {
    while (this.#bytes > toBytes && this.#count > 0) {
      this.#count--;
      const oldest = (this.#newest - this.#count) & (this.#slots.length - 1);
      this.#bytes -= fieldBytes(this.#slots[oldest]!);
      this.#slots[oldest] = staticFields[0]!;
    }
  }
}
