/* ancestry.h - what our parents' environment says
 *
 * A process that waits for a lock which one of its own ancestors holds waits
 * for ever.  `rlock run` gives its command the token in RLOCK_TOKEN, so an
 * ancestor (or we ourselves) with that variable tells.
 */
#ifndef RLOCK_ANCESTRY_H
#define RLOCK_ANCESTRY_H

#include <stdbool.h>

/* Was this process, or one it descends from, started with name=value in its
 * environment?  Reads /proc; that of another user cannot be read. */
bool ancestry_has_variable(const char *name, const char *value);

#endif
