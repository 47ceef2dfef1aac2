/** Where a model's entries refuse the value of an option that the command line gave: the place is the option, not the entry's line. */
import { DitcError } from '../compiler/ir/error.ts';

/** Does `work`, which traces entries with options, those named in `given` from the command line. @throws DitcError `config` at the option. */
export function atOption<T>(given: readonly string[], work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof DitcError) || error.code !== 'config') throw error;
    const [whole, name] = /^(\w+)(?::|(?= is ))\s*/.exec(error.what) ?? [];
    if (whole === undefined || !given.includes(name)) throw error;
    const option = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    const what = whole.endsWith(' ') ? error.what.slice(whole.length) : error.what.replace(name, 'it');
    throw new DitcError({ code: 'config', where: option, what, why: error.why, fix: error.fix }, { cause: error });
  }
}
