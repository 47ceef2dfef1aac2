/**
 * Whether drawn pictures are of the class that was asked for, judged by the nearest real one (L2): how many are named right.
 *
 *     npx ditc sample models/digits.ts --weights models/digits.safetensors --classes 0-9x50 --out digits.npy
 *     npx tsx bench/nearest.ts digits.npy 0-9x50 mnist-data
 */
import { parseClasses } from '../cli/classes.ts';
import { readNpy } from '../cli/npy.ts';
import { npyToF32 } from '../runtime/checkpoint/npy.ts';
import { writeValues } from '../runtime/data/dataset.ts';
import { openData } from '../runtime/node/data/open.ts';

const [samples, classes, path] = process.argv.slice(2);
if (!path) {
  console.error('usage: npx tsx bench/nearest.ts SAMPLES.npy CLASSES DATA');
  process.exit(2);
}
const array = await readNpy(samples, 'samples');
const [count, channels, height, width] = array.shape;
const size = channels * height * width;
const asked = parseClasses(classes);
if (asked.length !== count) throw new Error(`${samples} holds ${count} pictures, ${classes} is ${asked.length}`);
const drawn = npyToF32(array).map((x) => Math.min(Math.max(x, -1), 1));
const data = await openData(path, { shape: [channels, height, width] });

const nearest = new Float64Array(count).fill(Infinity);
const said = new Int32Array(count);
const real = new Float32Array(size);
for (let i = 0; i < data.count; i++) {
  writeValues(real, 0, await data.read(i, false));
  for (let j = 0; j < count; j++) {
    let distance = 0;
    // Most pictures are further than the nearest after a quarter of their pixels.
    for (let at = 0; at < size && distance < nearest[j]; at += 28)
      for (let k = at; k < Math.min(at + 28, size); k++) distance += (real[k] - drawn[j * size + k]) ** 2;
    if (distance < nearest[j]) [nearest[j], said[j]] = [distance, data.labels[i]];
  }
}
await data.close();

for (const label of new Set(asked)) {
  const own = asked.flatMap((c, i) => (c === label ? [i] : []));
  const right = own.filter((i) => said[i] === label).length;
  console.log(`${data.classes[label].padEnd(12)} ${String(right).padStart(4)} of ${own.length}`);
}
const right = asked.filter((label, i) => said[i] === label).length;
console.log(`${'all'.padEnd(12)} ${String(right).padStart(4)} of ${count}  ${((100 * right) / count).toFixed(1)} %`);
