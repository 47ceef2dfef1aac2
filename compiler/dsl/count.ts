/** Whether a value counts what an i32 numbers. */
export function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) < 2 ** 31;
}
