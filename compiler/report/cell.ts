/** A box, or the place where a trunk passes through a row. */
export interface Cell {
  readonly row: number;
  readonly width: number;
  readonly height: number;
  readonly isTrunk: boolean;
  /** Neighbours in the rows above and below. */
  readonly above: Cell[];
  readonly below: Cell[];
  /** Its index in the row. */
  at: number;
  /** Its centre. */
  x: number;
}
