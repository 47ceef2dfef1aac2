/** How a parameter starts when no checkpoint gives its value. */
export type Init =
  | { readonly kind: 'zeros' }
  | { readonly kind: 'ones' }
  /** N(0, std²). */
  | { readonly kind: 'normal'; readonly std: number }
  /** U(−bound, bound). */
  | { readonly kind: 'uniform'; readonly bound: number }
  /** Fixed values, row-major. */
  | { readonly kind: 'data'; readonly data: Float64Array };

/** All zeros. */
export const zeros: Init = { kind: 'zeros' };
/** All ones. */
export const ones: Init = { kind: 'ones' };
/** N(0, std²). */
export const normal = (std: number): Init => ({ kind: 'normal', std });
/** U(−bound, bound). */
export const uniform = (bound: number): Init => ({ kind: 'uniform', bound });
/** Values of one's own, row by row. */
export const fixed = (data: ArrayLike<number>): Init => ({ kind: 'data', data: Float64Array.from(data) });

/** Xavier (Glorot) uniform: bound √(6/(fanIn+fanOut)). Glorot & Bengio 2010. */
export const xavierUniform = (fanIn: number, fanOut: number): Init => uniform(Math.sqrt(6 / (fanIn + fanOut)));
