/** Bundles the runtime for pages: by build.mjs when ditc is packed, and from the sources in the repository. */
import { build } from 'esbuild';

/** @param {string} entry the path of a module of runtime/web/ */
export async function bundleRuntime(entry) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    ...{ bundle: true, minify: true, write: false, format: 'esm', platform: 'browser', target: 'es2022' },
    banner: { js: '/* The runtime of ditc for pages. MIT licence. */' },
  });
  return outputFiles[0].text;
}
