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

export const zeros: Init = { kind: 'zeros' };
export const ones: Init = { kind: 'ones' };
export const normal = (std: number): Init => ({ kind: 'normal', std });
export const uniform = (bound: number): Init => ({ kind: 'uniform', bound });
export const fixed = (data: ArrayLike<number>): Init => ({ kind: 'data', data: Float64Array.from(data) });

/** Xavier (Glorot) uniform: bound √(6/(fanIn+fanOut)). Glorot & Bengio 2010. */
export const xavierUniform = (fanIn: number, fanOut: number): Init => uniform(Math.sqrt(6 / (fanIn + fanOut)));
