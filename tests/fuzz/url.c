/* url.c - the address of a server */
#include "server/url.h"

#include "fuzz.h"

#include <stdio.h>
#include <sys/un.h>

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static void check_parts(const struct url *url)
{
	must((url->host == NULL) != (url->path == NULL));
	must((url->host == NULL) == (url->port == NULL));
	must(url->db >= 0);
	must(!url->path ||
	     (url->path[0] == '/' &&
	      strlen(url->path) < sizeof(((struct sockaddr_un *)0)->sun_path)));
	if (url->port)
		must(atoi(url->port) >= 1 && atoi(url->port) <= 65535);
}

/* What is shown names the server: read again, it is the same one. */
static void check_shown(const struct url *url)
{
	const char *name = url->path ? url->path : url->host;
	struct url again;
	struct error err;

	must(fuzz_is_printable(url->shown));
	/* What is not to be had by itself is escaped in another way. */
	if (strlen(url->shown) > URL_SHOWN_MAX / 2 ||
	    strpbrk(name, "\\%/@?#, []:") || !fuzz_is_printable(name))
		return;
	must(url_parse(&again, url->shown, &err));
	must(same(again.host, url->host) && same(again.port, url->port));
	must(same(again.path, url->path) && again.db == url->db);
	must(!again.user && !again.password);
	must(!strcmp(again.shown, url->shown));
	url_release(&again);
}

/* Neither a message nor what is shown tells the password. */
static void check_secret(const char *text)
{
	static const char secret[] = "s3cr3t-4nd-l0ng";
	size_t room = strlen(text) + sizeof(secret) + 16;
	char *whole = malloc(room);
	struct error err = { .status = STATUS_OK };
	const char *end;
	struct url url;

	must(whole);
	snprintf(whole, room, "redis://u:%s@%s", secret, text);
	if (url_parse(&url, whole, &err))
		must(!strstr(url.shown, secret) || strstr(text, secret));
	else
		must(!strstr(err.text, secret));
	url_release(&url);
	url_hide_password(whole);
	end = strrchr(whole, '@');
	must(end && !strncmp(whole, "redis://u:***************", 25));
	free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct error err = { .status = STATUS_OK };
	struct url url;

	if (url_parse(&url, text, &err)) {
		check_parts(&url);
		check_shown(&url);
		must(url_set_password(&url, "other"));
	} else {
		must(err.status == STATUS_USAGE && *err.text);
		must(fuzz_is_printable(err.text));
	}
	url_release(&url);
	must(!url.host && !url.path && !url.user && !url.password);
	check_secret(text);
	url_hide_password(text);
	must(strlen(text) <= size);
	free(text);
	return 0;
}
