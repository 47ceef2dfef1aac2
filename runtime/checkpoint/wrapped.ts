/**
 * Names behind those of wrappers: `module.` of (distributed) data parallel and `_orig_mod.` of a compiled module, at the
 * front of a name or anywhere within.
 */
import { RuntimeError, quote } from '../error.ts';
import type { TensorFile, TensorInfo } from './source.ts';

const WRAPPER = /(^|\.)((?:(?:module|_orig_mod)\.)+)/g;

const withoutWrappers = (name: string): string => name.replace(WRAPPER, '$1');

export const wrappedNote = (file: string, behind: readonly string[]): string =>
  `${file}: names are taken without ${behind.join(' and ')}`;

export class Wrapped {
  readonly #names = new Map<string, string>();
  readonly #twice = new Map<string, string>();

  constructor(private readonly file: TensorFile) {
    for (const name of [...file.tensors.keys(), ...(file.unread?.keys() ?? [])]) {
      const bare = withoutWrappers(name);
      if (bare === name) continue;
      const first = this.#names.get(bare);
      if (first !== undefined) this.#twice.set(bare, name);
      else this.#names.set(bare, name);
    }
  }

  /** A tensor's name without wrappers'. @throws RuntimeError `mismatch` where another has it too. */
  bare(name: string): string {
    const bare = withoutWrappers(name);
    if (bare === name) return name;
    if (this.file.tensors.has(bare)) throw this.#isTwice(bare, bare, name);
    this.nameOf(name);
    return bare;
  }

  has(parameter: string): boolean {
    return this.#names.has(withoutWrappers(parameter));
  }

  /** The file's name of a parameter: its own, or behind a wrapper's. @throws as {@link nameOf}. */
  find(parameter: string): string | undefined {
    const { tensors, unread } = this.file;
    return tensors.has(parameter) || unread?.has(parameter) ? parameter : this.nameOf(parameter);
  }

  /** The file's name of a parameter, behind a wrapper's. @throws RuntimeError `mismatch` where it has two. */
  nameOf(parameter: string): string | undefined {
    const bare = withoutWrappers(parameter);
    const name = this.#names.get(bare);
    const other = this.#twice.get(bare);
    if (other === undefined) return name;
    throw this.#isTwice(parameter, name!, other);
  }

  #isTwice(parameter: string, name: string, other: string): RuntimeError {
    const why = `it holds ${quote(name)} and ${quote(other)}`;
    const fix = 'save one of them only';
    return new RuntimeError({ code: 'mismatch', where: this.file.name, what: `${parameter} is there twice`, why, fix });
  }

  /** The wrappers in the names of these tensors. */
  used(tensors: readonly Pick<TensorInfo, 'name'>[]): string[] {
    const found = new Set<string>();
    for (const { name } of tensors)
      if (this.#names.get(withoutWrappers(name)) === name)
        for (const [, , wrappers] of name.matchAll(WRAPPER)) found.add(wrappers);
    return [...found];
  }
}
