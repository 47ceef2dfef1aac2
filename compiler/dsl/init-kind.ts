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
