/* url.h - where a server is and how to log in
 *
 *   redis://[user[:password]@]host[:port][/db]     default port 6379
 *   unix:///path.sock[?db=N]   (a user and password may precede the path)
 *
 * Every part is percent-decoded; an IPv6 address stands in brackets.
 */
#ifndef RLOCK_URL_H
#define RLOCK_URL_H

#include "base/error.h"

#include <stdbool.h>

#define URL_DEFAULT   "redis://127.0.0.1:6379/0"
#define URL_SHOWN_MAX 300

/* All strings are owned by the url. */
struct url {
	char *host;	/* NULL for a Unix socket */
	char *port;	/* decimal; NULL for a Unix socket */
	char *path;	/* of a Unix socket, else NULL */
	char *user;	/* NULL: the default user */
	char *password; /* NULL: none */
	int db;
	char shown[URL_SHOWN_MAX]; /* for people: no user, no password */
};

/* Reads text.  False with STATUS_USAGE; the message never repeats what may be
 * a password.  Release it after either outcome. */
bool url_parse(struct url *url, const char *text, struct error *err);

/* Wipes and frees what the url owns; it may be parsed into again. */
void url_release(struct url *url);

/* Replaces the password of the url (a copy is kept).  False without memory. */
bool url_set_password(struct url *url, const char *password);

/* Overwrites the password inside text, which is an argument of the process,
 * so that ps(1) does not show it. */
void url_hide_password(char *text);

#endif
