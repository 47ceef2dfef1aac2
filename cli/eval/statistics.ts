/**
 * Means and covariances as files: `.npz` with `mu` and `sigma` (pytorch-fid's), and `mu_s` and `sigma_s` of the spatial
 * features (ADM's reference batches have both).
 */
import { DitcError } from '../../compiler/ir/index.ts';
import { encodeNpy, parseNpy } from '../../runtime/checkpoint/npy.ts';
import { writeZip, zipFile } from '../../runtime/checkpoint/zip-write.ts';
import { openZip } from '../../runtime/checkpoint/zip.ts';
import { openFile, writeAtomically } from '../../runtime/node/file.ts';
import type { Moments } from '../../runtime/metrics/moments.ts';

/** What distances are measured between. */
export interface Statistics {
  readonly pool: Moments;
  readonly spatial?: Moments;
}

const NAMES = { pool: ['mu', 'sigma'], spatial: ['mu_s', 'sigma_s'] } as const;

/** The statistics in an `.npz`; undefined where it holds none. */
export async function readStatistics(path: string): Promise<Statistics | undefined> {
  const source = await openFile(path);
  try {
    const entries = await openZip(source);
    const read = async (name: string) => {
      const entry = entries.get(`${name}.npy`);
      return entry && parseNpy(await entry.read(0, entry.size), entry.name);
    };
    const momentsOf = async ([mu, sigma]: readonly [string, string]): Promise<Moments | undefined> => {
      const [mean, covariance] = [await read(mu), await read(sigma)];
      if (!mean && !covariance) return undefined;
      const width = mean?.shape[0];
      if (String(mean?.shape) !== String([width]) || String(covariance?.shape) !== String([width, width])) {
        const what = `${mu} is [${mean?.shape ?? 'missing'}] and ${sigma} [${covariance?.shape ?? 'missing'}]`;
        const fix = `save ${mu} of shape (d,) and ${sigma} of shape (d, d)`;
        throw new DitcError({ code: 'mismatch', where: path, what, fix });
      }
      return { mean: finite(path, mu, mean!.data), covariance: finite(path, sigma, covariance!.data) };
    };
    const pool = await momentsOf(NAMES.pool);
    return pool && { pool, spatial: await momentsOf(NAMES.spatial) };
  } finally {
    await source.close();
  }
}

function finite(where: string, name: string, data: ArrayLike<number | bigint>): Float64Array {
  const values = Float64Array.from(data, Number);
  const wrong = values.findIndex((value) => !Number.isFinite(value));
  if (wrong < 0) return values;
  const what = `element ${wrong} of ${name} is ${values[wrong]}`;
  throw new DitcError({ code: 'not-finite', where, what, fix: 'compute the statistics again' });
}

export async function writeStatistics(path: string, { pool, spatial }: Statistics): Promise<void> {
  const files = (names: readonly [string, string], { mean, covariance }: Moments) => {
    const [d] = [mean.length];
    return [
      zipFile(`${names[0]}.npy`, encodeNpy({ dtype: 'f64', shape: [d], data: mean })),
      zipFile(`${names[1]}.npy`, encodeNpy({ dtype: 'f64', shape: [d, d], data: covariance })),
    ];
  };
  const all = [...files(NAMES.pool, pool), ...(spatial ? files(NAMES.spatial, spatial) : [])];
  await writeAtomically(path, (write) => writeZip(write, all));
}
