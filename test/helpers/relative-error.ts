/** ‖got − want‖ / ‖want‖; NaN anywhere gives NaN, which no bound accepts. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) throw new Error(`${got.length} values, expected ${want.length}`);
  let [difference, norm] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    difference += (got[i] - want[i]) ** 2;
    norm += want[i] ** 2;
  }
  return Math.sqrt(difference) / (Math.sqrt(norm) || 1);
}
