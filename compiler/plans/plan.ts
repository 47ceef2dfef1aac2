/** How a group becomes a kernel: plain data, that the family of its name understands. Chosen by the family, or given by a tuner. */
export interface Geometry {
  readonly family: string;
}

export type Plan = Geometry & Readonly<Record<string, unknown>>;
