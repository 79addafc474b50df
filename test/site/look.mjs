/**
 * What is wrong with how a page looks: `faultsOfPage` runs in the page. It is plain JavaScript, because its source is sent to
 * the browser as it is.
 */

/** The texts that can be seen, one entry for each line, with the part of it that ancestors that clip or scroll show. */
function visibleTexts(within) {
  const visiblePart = (box, element) => {
    let { left, top, right, bottom } = box;
    for (let at = element; at !== null && at !== document.body; at = at.parentElement) {
      if (getComputedStyle(at).overflow === 'visible') continue;
      const clip = at.getBoundingClientRect();
      left = Math.max(left, clip.left);
      top = Math.max(top, clip.top);
      right = Math.min(right, clip.right);
      bottom = Math.min(bottom, clip.bottom);
    }
    return { left, top, right, bottom };
  };
  const texts = [];
  const walker = document.createTreeWalker(within, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    const text = node.textContent.trim();
    if (text === '' || element.closest('option, script, style, .visually-hidden') !== null) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      const part = visiblePart(box, element);
      if (part.right - part.left > 1 && part.bottom - part.top > 1)
        texts.push({ text: text.slice(0, 60), node, element, ...part });
    }
  }
  return texts;
}

function overlaps(texts) {
  const sorted = texts.toSorted((a, b) => a.top - b.top);
  const faults = [];
  for (const [index, one] of sorted.entries()) {
    for (let next = index + 1; next < sorted.length && sorted[next].top <= one.bottom; next += 1) {
      const other = sorted[next];
      if (other.node === one.node) continue;
      const width = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const height = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      // Lines may be closer than the boxes of their letters are high.
      const limit = 0.4 * Math.min(one.bottom - one.top, other.bottom - other.top);
      if (width > 2 && height > limit) faults.push(`"${one.text}" and "${other.text}" overlap`);
    }
  }
  return faults;
}

/** Texts with less contrast than WCAG 2 asks for at level AA. */
function faint(texts) {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const channelsOf = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([red, green, blue, alpha], below) =>
    [red, green, blue].map((value, index) => value * alpha + below[index] * (1 - alpha));
  const behind = (element) => {
    const layers = [];
    for (let at = element; at !== null; at = at.parentElement)
      layers.push(channelsOf(getComputedStyle(at).backgroundColor));
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const brightness = (color) => {
    const [red, green, blue] = color.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const faults = [];
  for (const element of new Set(texts.map((one) => one.element))) {
    const below = behind(element);
    const values = [brightness(below), brightness(over(channelsOf(getComputedStyle(element).color), below))];
    const contrast = (Math.max(...values) + 0.05) / (Math.min(...values) + 0.05);
    if (contrast < 4.5)
      faults.push(`"${element.textContent.trim().slice(0, 60)}" has a contrast of ${contrast.toFixed(2)}`);
  }
  return faults;
}

/** `selector` names a part that lies above the rest of the page, such as an open menu. */
export function faultsOfPage(selector = 'body') {
  const texts = visibleTexts(document.querySelector(selector));
  if (texts.length === 0) return [`there is no text in ${selector}`];
  const root = document.documentElement;
  const sideways =
    root.scrollWidth > root.clientWidth ? [`it scrolls sideways: ${root.scrollWidth} > ${root.clientWidth}`] : [];
  const outside = texts
    .filter(({ left, right }) => left < -1 || right > root.clientWidth + 1)
    .map(({ text }) => `"${text}" leaves the page`);
  return [...new Set([...sideways, ...outside, ...overlaps(texts), ...faint(texts)])];
}
