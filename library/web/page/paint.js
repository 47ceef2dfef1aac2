/** Pictures on canvases. */

/** What samples are shown as, and the values of black and white; latents have none, for an autoencoder makes pictures of them. */
export const kindOf = ({ picture }) =>
  picture
    ? { one: 'Picture', many: 'pictures', range: picture.range }
    : { one: 'Latent', many: 'latents (an autoencoder makes pictures of them)' };

/** Paints one picture [channels, height, width] of values in `range`; of two or more than four channels, the first alone. */
export function paint(canvas, values, [channels, height, width], [least, most]) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  const size = width * height;
  const isColour = channels === 3 || channels === 4;
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) {
      const value = values[(isColour ? c : 0) * size + i];
      image.data[4 * i + c] = Math.round((255 * (value - least)) / (most - least));
    }
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
}

/** The least and the largest of the values, apart. */
function rangeOf(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  return most > least ? [least, most] : [least, least + 1];
}

/** The pictures of a tensor [n, channels, height, width], each on its canvas, from the `first` canvas on; black to white is `range`, or that of all. */
export function paintAll(canvases, { data, shape: [count, ...picture] }, range = rangeOf(data), first = 0) {
  const size = picture.reduce((n, side) => n * side, 1);
  for (let i = 0; i < count; i++) paint(canvases[first + i], data.subarray(i * size, (i + 1) * size), picture, range);
}

/** All canvases on one sheet, in rows of `columns`. */
export function sheetOf(canvases, columns) {
  const [{ width, height }] = canvases;
  const sheet = document.createElement('canvas');
  sheet.width = width * Math.min(columns, canvases.length);
  sheet.height = height * Math.ceil(canvases.length / columns);
  const context = sheet.getContext('2d');
  canvases.forEach((canvas, i) => {
    context.drawImage(canvas, width * (i % columns), height * Math.floor(i / columns));
  });
  return sheet;
}

export const pngOf = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
