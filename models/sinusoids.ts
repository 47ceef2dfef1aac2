/** Sinusoidal embeddings of positions and of time. Vaswani et al. 2017. */
import { concat, constant, cos, sin, type Tensor } from '../compiler/dsl/index.ts';

/**
 * The fixed position table [1,T,d], row-major, in float64. With ω_k = 10000^(−k/(d/4)), token (row, col) has
 * [sin(col·ω), cos(col·ω), sin(row·ω), cos(row·ω)]: the column first, as in MAE (He et al. 2022).
 */
export function positionTable(hiddenSize: number, [down, across]: readonly [number, number]): Float64Array {
  const quarter = hiddenSize / 4;
  const T = down * across;
  const table = new Float64Array(T * hiddenSize);
  for (let k = 0; k < quarter; k++) {
    const omega = 10000 ** (-k / quarter);
    for (let token = 0; token < T; token++) {
      const [row, col] = [Math.floor(token / across), token % across];
      const waves = [Math.sin(col * omega), Math.cos(col * omega), Math.sin(row * omega), Math.cos(row * omega)];
      waves.forEach((wave, i) => (table[token * hiddenSize + i * quarter + k] = wave));
    }
  }
  return table;
}

/** Half the length of the sinusoidal embedding of t. */
const FREQUENCIES = 128;

/** t [N] (a timestep of the full process, maybe fractional) → [N,256]: cosines, then sines, of t·10000^(−i/over). */
export function sinusoids(t: Tensor, over = FREQUENCIES): Tensor {
  const frequencies = Float64Array.from({ length: FREQUENCIES }, (_, i) => 10000 ** (-i / over));
  const angles = t.unsqueeze(1).mul(constant(frequencies, [FREQUENCIES]));
  return concat([cos(angles), sin(angles)]);
}
