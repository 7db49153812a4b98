/* url.c - where a server is and how to log in */
#include "server/url.h"

#include "base/escape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define DB_DIGITS_MAX 6 /* servers allow a few thousand at the most */

static bool bad(struct error *err, const char *why)
{
	return error_set(err, STATUS_USAGE, "bad server URL: %s", why);
}

static bool all_digits(const char *text, size_t most)
{
	size_t n = strspn(text, "0123456789");

	return n > 0 && n <= most && !text[n];
}

static bool set_db(struct url *url, const char *text, struct error *err)
{
	if (!all_digits(text, DB_DIGITS_MAX))
		return bad(err, "the db is not a number");
	url->db = atoi(text);
	return true;
}

/* Copies text and undoes its percent-encoding. */
static bool take(char **to, const char *text, struct error *err)
{
	*to = strdup(text);
	if (!*to)
		return error_set(err, STATUS_SYSTEM, "out of memory");
	if (!percent_decode_url(*to))
		return bad(err, "a '%' in it starts no valid escape");
	return true;
}

/* Reads USER[:PASSWORD]. */
static bool take_login(struct url *url, char *login, struct error *err)
{
	char *colon = strchr(login, ':');

	if (colon) {
		*colon++ = '\0';
		if (*colon && !take(&url->password, colon, err))
			return false;
	}
	return !*login || take(&url->user, login, err);
}

/* Reads HOST[:PORT]; host may be an address in brackets. */
static bool take_address(struct url *url, char *text, struct error *err)
{
	char *port = NULL;

	if (*text == '[') {
		char *close = strchr(++text, ']');

		if (!close)
			return bad(err, "a '[' without its ']'");
		*close++ = '\0';
		if (*close == ':')
			port = close + 1;
		else if (*close)
			return bad(err, "something follows the ']'");
	} else {
		port = strchr(text, ':');
		if (port)
			*port++ = '\0';
	}
	if (!*text)
		return bad(err, "no host");
	if (port &&
	    (!all_digits(port, 5) || atoi(port) < 1 || atoi(port) > 65535))
		return bad(err, "the port is not a number from 1 to 65535");
	if (strchr(text, ','))
		return bad(err, "only one server can be named");
	return take(&url->host, text, err) &&
	       take(&url->port, port ? port : "6379", err);
}

static bool parse_tcp(struct url *url, char *rest, struct error *err)
{
	char *slash = strchr(rest, '/');
	char *at;

	if (strpbrk(rest, "?#"))
		return bad(err, "no '?' or '#' can follow a host");
	if (slash) {
		*slash++ = '\0';
		if (*slash && !set_db(url, slash, err))
			return false;
	}
	at = strrchr(rest, '@');
	if (at) {
		*at++ = '\0';
		if (!take_login(url, rest, err))
			return false;
	}
	return take_address(url, at ? at : rest, err);
}

static bool parse_unix(struct url *url, char *rest, struct error *err)
{
	char *slash = strchr(rest, '/');
	char *query = strchr(rest, '?');

	if (query) {
		*query++ = '\0';
		if (strncmp(query, "db=", 3))
			return bad(err, "only '?db=N' can follow a path");
		if (!set_db(url, query + 3, err))
			return false;
	}
	if (!slash || (query && slash > query) || !slash[1])
		return bad(err, "no path of a socket");
	if (!take(&url->path, slash, err))
		return false;
	if (strlen(url->path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return bad(err, "the path is too long for a socket");
	if (slash == rest)
		return true;
	if (slash[-1] != '@')
		return bad(err, "the path of a socket starts with '/'");
	slash[-1] = '\0';
	return take_login(url, rest, err);
}

static void show(struct url *url)
{
	char host[URL_SHOWN_MAX - 40];
	const char *name = url->path ? url->path : url->host;

	escape_display(host, sizeof(host), name, strlen(name));
	if (url->path && !url->db)
		snprintf(url->shown, sizeof(url->shown), "unix://%s", host);
	else if (url->path)
		snprintf(url->shown, sizeof(url->shown), "unix://%s?db=%d",
			 host, url->db);
	else
		snprintf(url->shown, sizeof(url->shown),
			 strchr(host, ':') ? "redis://[%s]:%s/%d"
					   : "redis://%s:%s/%d",
			 host, url->port, url->db);
}

bool url_parse(struct url *url, const char *text, struct error *err)
{
	char *copy = strdup(text);
	bool done = false;

	*url = (struct url){ .db = 0 };
	if (!copy)
		return error_set(err, STATUS_SYSTEM, "out of memory");
	if (strcspn(copy, " \t\r\n") != strlen(copy))
		bad(err, "it holds a blank, and only one server can be named");
	else if (!strncmp(copy, "redis://", 8))
		done = parse_tcp(url, copy + 8, err);
	else if (!strncmp(copy, "unix://", 7))
		done = parse_unix(url, copy + 7, err);
	else
		bad(err, "it starts with neither redis:// nor unix://");
	if (done)
		show(url);
	explicit_bzero(copy, strlen(text));
	free(copy);
	return done;
}

static void wipe(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

void url_release(struct url *url)
{
	free(url->host);
	free(url->port);
	free(url->path);
	free(url->user);
	wipe(&url->password);
	*url = (struct url){ .db = 0 };
}

bool url_set_password(struct url *url, const char *password)
{
	wipe(&url->password);
	url->password = strdup(password);
	return url->password != NULL;
}

void url_hide_password(char *text)
{
	char *login = strstr(text, "://");
	char *end;
	char *p;

	if (!login)
		return;
	login += 3;
	end = strrchr(login, '@');
	p = strchr(login, ':');
	if (!end || !p || p > end)
		return;
	while (++p < end)
		*p = '*';
}
