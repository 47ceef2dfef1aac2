/**
 * The one error class of the runtime. An error names the object (file, tensor, kernel), the rule that was broken and
 * the fix, so its message can be shown to the user as it is: `<where>: <what>: <why>; <fix>`.
 */

/** The parts of a {@link RuntimeError}; the optional ones are left out of the message when absent. */
export interface RuntimeErrorParts {
  /** Stable, kebab-case, for scripts: `truncated`, `bad-format`, `unsupported`, `limit`, `not-found`, `mismatch`, … */
  code: string;
  /** The object and what happened to it. */
  what: string;
  /** The place: a file, a byte offset, `model.ts:41:9`. */
  where?: string;
  /** The rule that was broken, with the numbers. May span lines. */
  why?: string;
  /** What the user can do about it. */
  fix?: string;
  /** The error this one was made from. */
  cause?: unknown;
}

/** Thrown for every foreseeable failure of the runtime; anything else that escapes is a bug. */
export class RuntimeError extends Error {
  /** Stable, for programs: docs/errors.md lists them. */
  readonly code: string;
  /** What happened, and to what. */
  readonly what: string;
  /** The place: a file, an entry, a line of the model. */
  readonly where?: string;
  /** The rule that was broken, with the numbers. */
  readonly why?: string;
  /** What can be done about it. */
  readonly fix?: string;

  constructor(parts: RuntimeErrorParts) {
    const body = [parts.where, parts.what, parts.why].filter((part) => part !== undefined && part !== '').join(': ');
    // A fix glued to the last line of a list would read as part of that line.
    const separator = parts.why?.includes('\n') ? '\n' : '; ';
    super(parts.fix ? body + separator + parts.fix : body, 'cause' in parts ? { cause: parts.cause } : undefined);
    this.name = 'RuntimeError';
    this.code = parts.code;
    this.what = parts.what;
    this.where = parts.where;
    this.why = parts.why;
    this.fix = parts.fix;
  }
}

/** Text from a file, safe to show: control characters escaped, cut to `limit` characters. */
export function quote(given: string, limit = 120): string {
  const text = String(given); // Callers without types give anything.
  const cut = text.length > limit ? text.slice(0, limit) + '…' : text;
  return JSON.stringify(cut);
}
