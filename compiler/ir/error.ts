/**
 * The one error type of the compiler: it names the thing, the place in the user's file, the rule it broke and the fix.
 * `where` is `file:line:col`; the terminal adds the source line and a caret (frontend/diagnostic.ts).
 */
export interface ErrorParts {
  /** Stable identifier, e.g. `shape`, `dtype`, `type-error`; documented in docs/errors.md. */
  readonly code: string;
  /** What went wrong, e.g. `matmul: inner sizes differ`. */
  readonly what: string;
  /** `file:line:col` in the user's source. */
  readonly where?: string;
  /** The particulars, e.g. `q is [2,256,1152], w is [1024,4608]: 1152 ≠ 1024`. */
  readonly why?: string;
  readonly fix?: string;
}

/** Thrown for every foreseeable failure of the compiler and of the model file; anything else that escapes is a bug. */
export class DitcError extends Error implements ErrorParts {
  /** Stable, for programs: docs/errors.md lists them. */
  readonly code: string;
  /** What happened, and to what. */
  readonly what: string;
  /** The place, `file:line:col` of the model where there is one. */
  readonly where?: string;
  /** The rule that was broken, with the numbers. */
  readonly why?: string;
  /** What can be done about it. */
  readonly fix?: string;

  constructor(parts: ErrorParts, options?: { cause?: unknown }) {
    super(formatError(parts), options);
    this.name = 'DitcError';
    this.code = parts.code;
    this.what = parts.what;
    this.where = parts.where;
    this.why = parts.why;
    this.fix = parts.fix;
  }

  /** The same error at a place, when it has none yet. */
  at(where: string | undefined): DitcError {
    return this.where || !where ? this : new DitcError({ ...this.parts(), where }, { cause: this });
  }

  private parts(): ErrorParts {
    return { code: this.code, what: this.what, where: this.where, why: this.why, fix: this.fix };
  }
}

function formatError({ where, what, why, fix }: ErrorParts): string {
  return [where, what, why].filter(Boolean).join(': ') + (fix ? `; ${fix}` : '');
}
