/** Sums that tell damage: CRC-32 as ZIP and PNG have it (ISO 3309), and Castagnoli's, which records of TensorFlow have. Four bytes at a time. */

/** Table k is the sum of a byte that k zero bytes follow. */
function tablesOf(polynomial: number): readonly Uint32Array[] {
  const tables = Array.from({ length: 4 }, () => new Uint32Array(256));
  for (let i = 0; i < 256; i++) {
    let sum = i;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ polynomial : sum >>> 1;
    tables[0][i] = sum;
  }
  for (let k = 1; k < 4; k++)
    for (let i = 0; i < 256; i++) tables[k][i] = (tables[k - 1][i] >>> 8) ^ tables[0][tables[k - 1][i] & 255];
  return tables;
}

/** The sum of bytes that follow others whose sum is `before`. */
type Sum = (bytes: Uint8Array, before?: number) => number;

/** By a polynomial, its bits reversed. */
function sumBy(polynomial: number): Sum {
  const [one, two, three, four] = tablesOf(polynomial);
  return (bytes, before = 0) => {
    let sum = ~before;
    let at = 0;
    for (; at + 4 <= bytes.length; at += 4) {
      sum ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
      sum = four[sum & 255] ^ three[(sum >>> 8) & 255] ^ two[(sum >>> 16) & 255] ^ one[sum >>> 24];
    }
    for (; at < bytes.length; at++) sum = one[(sum ^ bytes[at]) & 255] ^ (sum >>> 8);
    return ~sum >>> 0;
  };
}

export const crc32 = sumBy(0xedb88320);
export const crc32c = sumBy(0x82f63b78);
