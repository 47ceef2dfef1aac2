/**
 * RUN lines: the first comments of an IR file may say how `ditc opt` is to run on it, as `// RUN: ditc opt %s --passes …`.
 * Reproducers have one, and the cases in test/text. `not ditc opt` says that it is to fail.
 */

export interface RunLine {
  /** What stands after `ditc opt`, as words. */
  readonly args: readonly string[];
  readonly fails: boolean;
  readonly line: number;
}

/** The RUN line of a text. Only the comments at its top are looked at. */
export function findRunLine(text: string): RunLine | undefined {
  for (let start = 0, line = 1; start < text.length; line++) {
    const end = text.indexOf('\n', start) < 0 ? text.length : text.indexOf('\n', start);
    const found = text.slice(start, end).trim();
    if (found && !found.startsWith('//')) return undefined;
    const match = /^\/\/ *RUN: *(not +)?ditc +opt\b(.*)$/.exec(found);
    if (match) return { args: shellWords(match[2]), fails: match[1] !== undefined, line };
    start = end + 1;
  }
  return undefined;
}

/** Words as a shell separates them, with single quotes and backslashes. */
export function shellWords(text: string): string[] {
  const words = text.match(/(?:'[^']*'?|\\.|[^\s'\\])+/g) ?? [];
  return words.map((word) => word.replace(/'([^']*)'?|\\(.)/g, (_, quoted = '', escaped = '') => quoted + escaped));
}
