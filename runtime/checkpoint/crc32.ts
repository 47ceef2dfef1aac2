/** CRC-32 as ZIP and PNG have it (ISO 3309, polynomial 0xEDB88320), four bytes at a time. */

/** Table k is the sum of a byte that k zero bytes follow. */
const TABLES = Array.from({ length: 4 }, () => new Uint32Array(256));
for (let i = 0; i < 256; i++) {
  let sum = i;
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  TABLES[0][i] = sum;
}
for (let k = 1; k < 4; k++)
  for (let i = 0; i < 256; i++) TABLES[k][i] = (TABLES[k - 1][i] >>> 8) ^ TABLES[0][TABLES[k - 1][i] & 255];

/** The sum of bytes that follow others whose sum is `before`. */
export function crc32(bytes: Uint8Array, before = 0): number {
  const [one, two, three, four] = TABLES;
  let sum = ~before;
  let at = 0;
  for (; at + 4 <= bytes.length; at += 4) {
    sum ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    sum = four[sum & 255] ^ three[(sum >>> 8) & 255] ^ two[(sum >>> 16) & 255] ^ one[sum >>> 24];
  }
  for (; at < bytes.length; at++) sum = one[(sum ^ bytes[at]) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}
