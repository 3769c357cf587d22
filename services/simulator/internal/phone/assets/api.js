// Talking to the simulator.

async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await response.json().catch(() => ({}));
  throw new Error(problem.message || `The simulator answered ${response.status}.`);
}

export const openPhone = (account) => call("POST", "/phone/customers", { account });
export const closePhone = ({ account, customer }) => call("DELETE", `/phone/customers/${account}/${customer}`);
export const control = (method, path, body) => call(method, `/control/${path}`, body);
export const act = (action) => call("POST", "/phone/actions", action);

/** listen calls the handlers with each event; the browser connects again by itself and then gets the whole state. */
export function listen(handlers) {
  const source = new EventSource("/phone/events");
  for (const name of ["state", "update", "totals"]) {
    source.addEventListener(name, (event) => handlers[name](JSON.parse(event.data)));
  }
  source.addEventListener("open", () => handlers.link("live"));
  source.addEventListener("error", () => handlers.link("lost"));
}
