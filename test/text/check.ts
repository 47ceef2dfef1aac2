/**
 * Checks a text against the `// CHECK` lines of a case, in the manner of LLVM's FileCheck:
 *
 *   CHECK: p          p comes after what the line before matched      CHECK-NEXT: p     … on the very next line
 *   CHECK-SAME: p     … on the same line                              CHECK-NOT: p      p is not before the next match
 *   CHECK-COUNT-n: p  n times, one after the other                    CHECK-LABEL: p    cuts the text: the lines of the
 *                                                                     case up to here see nothing beyond p
 *
 * A pattern is text; `{{…}}` is a regular expression in it, `[[name:…]]` one whose match is remembered, `[[name]]` what was
 * remembered. A stretch of spaces matches any other.
 */

export interface Directive {
  readonly kind: 'CHECK' | 'NEXT' | 'SAME' | 'NOT' | 'COUNT' | 'LABEL';
  readonly count: number;
  readonly pattern: string;
  readonly line: number;
}

const DIRECTIVE = /^\s*\/\/ CHECK(?:-([A-Z]+))?(?:-(\d+))?:(.*)$/;
const KINDS: readonly string[] = ['CHECK', 'NEXT', 'SAME', 'NOT', 'COUNT', 'LABEL'];

/** The CHECK lines of a case. Throws when one is misspelt, or there is none. */
export function directivesOf(text: string): Directive[] {
  const found = text.split('\n').flatMap((line, i): Directive[] => {
    const match = DIRECTIVE.exec(line);
    if (!match) {
      if (/^\s*\/\/\s*CHECK\b/.test(line)) throw new Error(`line ${i + 1}: not a CHECK line: ${line.trim()}`);
      return [];
    }
    const [, kind = 'CHECK', count, pattern] = match;
    const known = KINDS.includes(kind) && (kind === 'COUNT') === (count !== undefined) && pattern.trim() !== '';
    if (!known) throw new Error(`line ${i + 1}: not a CHECK line: ${line.trim()}`);
    return [{ kind: kind as Directive['kind'], count: Number(count ?? 1), pattern: pattern.trim(), line: i + 1 }];
  });
  if (!found.some(({ kind }) => kind !== 'NOT')) throw new Error('no CHECK line says what must be there');
  return found;
}

/** Throws an Error that names the CHECK line which does not hold, and shows where in the text it was looked for. */
export function check(directives: readonly Directive[], text: string): void {
  new Checker(text.split('\n').map(squeeze).join('\n')).run(directives);
}

const squeeze = (line: string): string => line.replace(/[ \t]+/g, ' ').trimEnd();

class Checker {
  private readonly text: string;
  private readonly captures = new Map<string, string>();
  /** Where the last match ended. */
  private at = 0;
  /** What the lines before the next label may see. */
  private end = 0;
  private forbidden: Directive[] = [];

  constructor(text: string) {
    this.text = text;
  }

  run(directives: readonly Directive[]): void {
    let label = 0;
    directives.forEach((directive, i) => {
      if (i === 0 || directive.kind === 'LABEL') {
        const next = directives.slice(i + 1).find(({ kind }) => kind === 'LABEL');
        if (directive.kind === 'LABEL') label = this.findLabel(directive, label);
        this.end = next ? this.startOfLabel(next, label) : this.text.length;
      }
      this.one(directive, i === 0);
    });
    this.refuse(this.end);
  }

  private one(directive: Directive, first: boolean): void {
    const { kind, count } = directive;
    if (kind === 'NOT') return void this.forbidden.push(directive);
    if (first && (kind === 'NEXT' || kind === 'SAME')) throw this.wrong(directive, 'follows no other match');
    if (kind === 'LABEL') return;
    for (let i = 0; i < count; i++) {
      const [from, to] = this.stretch(directive);
      const match = this.search(directive, from, to);
      if (!match) throw this.wrong(directive, count > 1 ? `found ${i} of ${count} times` : 'not found');
      this.accept(match);
    }
  }

  /** Where the match may be. */
  private stretch({ kind }: Directive): [number, number] {
    const endOfLine = (from: number) => {
      const end = this.text.indexOf('\n', from);
      return end < 0 ? this.end : Math.min(end, this.end);
    };
    if (kind === 'SAME') return [this.at, endOfLine(this.at)];
    if (kind !== 'NEXT') return [this.at, this.end];
    const from = Math.min(endOfLine(this.at) + 1, this.end);
    return [from, endOfLine(from)];
  }

  private findLabel(label: Directive, from: number): number {
    const match = this.search(label, from, this.text.length);
    if (!match) throw this.wrong(label, 'not found');
    // What the lines before forbid ends here.
    this.refuse(Math.max(match.index, this.at));
    this.at = match.index + match[0].length;
    return this.at;
  }

  private startOfLabel(label: Directive, from: number): number {
    return this.search(label, from, this.text.length)?.index ?? this.text.length;
  }

  private accept(match: RegExpExecArray): void {
    this.refuse(match.index);
    for (const [name, value] of Object.entries(match.groups ?? {})) this.captures.set(name, value);
    this.at = match.index + match[0].length;
  }

  /** Throws when a forbidden pattern is between the last match and `to`. */
  private refuse(to: number): void {
    for (const directive of this.forbidden) {
      const match = this.search(directive, this.at, to);
      if (match) throw this.wrong(directive, `found: ${match[0]}`, match.index);
    }
    this.forbidden = [];
  }

  private search(directive: Directive, from: number, to: number): RegExpExecArray | null {
    const expression = new RegExp(this.source(directive), 'gmu');
    expression.lastIndex = from;
    const match = expression.exec(this.text.slice(0, to));
    return match;
  }

  /** The pattern as a regular expression. */
  private source(directive: Directive): string {
    const parts = squeeze(directive.pattern).split(/(\{\{.*?\}\}|\[\[\w+(?::.*?)?\]\](?!\]))/);
    return parts.map((part) => this.sourceOf(part, directive)).join('');
  }

  private sourceOf(part: string, directive: Directive): string {
    const regex = /^\{\{(.*)\}\}$/.exec(part);
    if (regex) return `(?:${regex[1]})`;
    const named = /^\[\[(\w+)(?::(.*))?\]\]$/.exec(part);
    if (!named) return literal(part);
    const [, name, pattern] = named;
    if (pattern !== undefined) return `(?<${name}>${pattern})`;
    const value = this.captures.get(name);
    if (value === undefined) throw this.wrong(directive, `nothing was remembered as ${name}`);
    return literal(value);
  }

  private wrong({ kind, count, pattern, line }: Directive, why: string, at = this.at): Error {
    const name = kind === 'CHECK' ? 'CHECK' : kind === 'COUNT' ? `CHECK-COUNT-${count}` : `CHECK-${kind}`;
    const number = this.text.slice(0, at).split('\n').length;
    const shown = this.text.split('\n').slice(Math.max(0, number - 3), number + 9);
    const around = shown.map((text, i) => `  ${Math.max(1, number - 2) + i} | ${text}`);
    return new Error(
      [`line ${line}: ${name}: ${pattern}: ${why}; after line ${number} of the text:`, ...around].join('\n'),
    );
  }
}

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
