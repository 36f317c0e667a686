// Elements of the page. Everything is put in as text, and nothing is fetched.

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, ...children) {
  const node = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node[name] = value;
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((each) => each !== null && each !== undefined && each !== ""));
  return node;
}

function link(text, address) {
  if (!/^https?:\/\//i.test(address || "")) return null;
  return make("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, text);
}

/** Make what is on the page the same as `fresh`, in place: so a list that is open stays open while its cell runs, and
    what is focused, scrolled or marked stays so. */
function become(old, fresh) {
  if (old.nodeName !== fresh.nodeName) old.replaceWith(fresh);
  else if (old.nodeType === Node.TEXT_NODE) { if (old.data !== fresh.data) old.data = fresh.data; }
  else {
    takeAttributes(old, fresh);
    const before = [...old.childNodes];
    const after = [...fresh.childNodes];
    after.forEach((each, at) => (at < before.length ? become(before[at], each) : old.append(each)));
    before.slice(after.length).forEach((each) => each.remove());
    if (old.nodeName === "SELECT" && old.value !== fresh.value) old.value = fresh.value;
  }
}

function takeAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const name of ["onclick", "onchange", "onpointerenter", "onpointerleave"]) old[name] = fresh[name];
}
