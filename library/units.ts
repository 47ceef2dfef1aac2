/** Large numbers for people. */

/** `118.6 G`, `2.70 G`, `41.8 M`, `12`: in steps of 1000. */
export function si(value: number): string {
  const units = ['', ' k', ' M', ' G', ' T', ' P'];
  let unit = 0;
  let x = value;
  while (x >= 999.95 && unit < units.length - 1) {
    x /= 1000;
    unit++;
  }
  if (!unit) return String(Math.round(x));
  return (x >= 99.95 ? x.toFixed(1) : x.toPrecision(3)) + units[unit];
}

/** `2.70 GB` */
export const bytes = (n: number): string => (n < 1000 ? `${n} B` : `${si(n)}B`);
