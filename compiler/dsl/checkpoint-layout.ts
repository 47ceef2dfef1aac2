/** How another tool's checkpoints hold the parameters of a model. */
export interface CheckpointLayout {
  /**
   * The tensors that a parameter is stored as: its parts along the first axis, each by the names of its equal copies. No parts: the
   * layout leaves it out, and the model computes it.
   */
  readonly stored: (parameter: string) => readonly (readonly string[])[];
  /** What whoever writes it should know. */
  readonly remark?: string;
  /** What the tool calls the file of the weights in a folder; its `config.json`, and those of its keys that tensors' shapes do not show. */
  readonly folder?: {
    readonly weights: string;
    readonly config: Readonly<Record<string, unknown>>;
    readonly telling: readonly string[];
  };
}
