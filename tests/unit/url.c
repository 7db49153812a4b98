/* url.c - where a server is and how to log in */
#include "server/url.h"

#include "test.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *text;
	const char *host;
	const char *port;
	const char *path;
	const char *user;
	const char *password;
	int db;
	const char *shown;
} good[] = {
	{ "redis://h", "h", "6379", NULL, NULL, NULL, 0, "redis://h:6379/0" },
	{ URL_DEFAULT, "127.0.0.1", "6379", NULL, NULL, NULL, 0, URL_DEFAULT },
	{ "redis://h/", "h", "6379", NULL, NULL, NULL, 0, "redis://h:6379/0" },
	{ "redis://h:1", "h", "1", NULL, NULL, NULL, 0, "redis://h:1/0" },
	{ "redis://h:65535/15", "h", "65535", NULL, NULL, NULL, 15,
	  "redis://h:65535/15" },
	{ "redis://h/0", "h", "6379", NULL, NULL, NULL, 0, "redis://h:6379/0" },
	{ "redis://db.example.org:7000/3", "db.example.org", "7000", NULL, NULL,
	  NULL, 3, "redis://db.example.org:7000/3" },
	{ "redis://:secret@h", "h", "6379", NULL, NULL, "secret", 0,
	  "redis://h:6379/0" },
	{ "redis://alice:secret@h", "h", "6379", NULL, "alice", "secret", 0,
	  "redis://h:6379/0" },
	{ "redis://alice@h", "h", "6379", NULL, "alice", NULL, 0,
	  "redis://h:6379/0" },
	{ "redis://alice:@h", "h", "6379", NULL, "alice", NULL, 0,
	  "redis://h:6379/0" },
	{ "redis://@h", "h", "6379", NULL, NULL, NULL, 0, "redis://h:6379/0" },
	{ "redis://:@h", "h", "6379", NULL, NULL, NULL, 0, "redis://h:6379/0" },
	{ "redis://a%3Ab%40c:p%2fq%3a%25@h:1/2", "h", "1", NULL, "a:b@c",
	  "p/q:%", 2, "redis://h:1/2" },
	{ "redis://a:b:c@h", "h", "6379", NULL, "a", "b:c", 0,
	  "redis://h:6379/0" },
	{ "redis://a:se@cret@h", "h", "6379", NULL, "a", "se@cret", 0,
	  "redis://h:6379/0" },
	{ "redis://:%20%ff@h", "h", "6379", NULL, NULL, " \xff", 0,
	  "redis://h:6379/0" },
	{ "redis://[::1]", "::1", "6379", NULL, NULL, NULL, 0,
	  "redis://[::1]:6379/0" },
	{ "redis://[::1]:7000/5", "::1", "7000", NULL, NULL, NULL, 5,
	  "redis://[::1]:7000/5" },
	{ "redis://u:p@[fe80::1%25eth0]:1", "fe80::1%eth0", "1", NULL, "u", "p",
	  0, "redis://[fe80::1%eth0]:1/0" },
	{ "redis://h%1b[31m", "h\033[31m", "6379", NULL, NULL, NULL, 0,
	  "redis://h\\x1B[31m:6379/0" },
	{ "unix:///run/redis.sock", NULL, NULL, "/run/redis.sock", NULL, NULL,
	  0, "unix:///run/redis.sock" },
	{ "unix:///s?db=0", NULL, NULL, "/s", NULL, NULL, 0, "unix:///s" },
	{ "unix:///s?db=7", NULL, NULL, "/s", NULL, NULL, 7, "unix:///s?db=7" },
	{ "unix:///a%20b%3Fc", NULL, NULL, "/a b?c", NULL, NULL, 0,
	  "unix:///a b?c" },
	{ "unix:///a@b:c", NULL, NULL, "/a@b:c", NULL, NULL, 0,
	  "unix:///a@b:c" },
	{ "unix://alice:secret@/s", NULL, NULL, "/s", "alice", "secret", 0,
	  "unix:///s" },
	{ "unix://:secret@/s?db=2", NULL, NULL, "/s", NULL, "secret", 2,
	  "unix:///s?db=2" },
};

/* Each has a password where that makes sense: no message may repeat it. */
static const struct {
	const char *text;
	const char *cause;
} bad[] = {
	{ "", "it starts with neither" },
	{ "h", "it starts with neither" },
	{ "h:6379", "it starts with neither" },
	{ "http://u:secret@h", "it starts with neither" },
	{ "redis:/h", "it starts with neither" },
	{ "redis:h", "it starts with neither" },
	{ "REDIS://h", "it starts with neither" },
	{ "unix:/s", "it starts with neither" },
	{ "/run/redis.sock", "it starts with neither" },
	{ " redis://h", "blank" },
	{ "redis://:secret@h redis://i", "blank" },
	{ "redis://:sec ret@h", "blank" },
	{ "redis://h\n", "blank" },
	{ "unix:///a b", "blank" },
	{ "redis://", "no host" },
	{ "redis:///0", "no host" },
	{ "redis://u:secret@", "no host" },
	{ "redis://u:secret@:6379", "no host" },
	{ "redis://[]", "no host" },
	{ "redis://u:secret@[::1", "a '[' without" },
	{ "redis://u:secret@[::1]6379", "something follows" },
	{ "redis://u:secret@h:", "the port" },
	{ "redis://u:secret@h:0", "the port" },
	{ "redis://u:secret@h:65536", "the port" },
	{ "redis://u:secret@h:99999999999", "the port" },
	{ "redis://u:secret@h:-1", "the port" },
	{ "redis://u:secret@h:+1", "the port" },
	{ "redis://u:secret@h:redis", "the port" },
	{ "redis://h:secret", "the port" },
	{ "redis://[::1]:", "the port" },
	{ "redis://::1", "no host" },
	{ "redis://fe80::1", "the port" },
	{ "redis://u:secret@h/x", "the db" },
	{ "redis://u:secret@h/-1", "the db" },
	{ "redis://u:secret@h/+1", "the db" },
	{ "redis://u:secret@h/1/2", "the db" },
	{ "redis://u:secret@h/1x", "the db" },
	{ "redis://u:secret@h/99999999999", "the db" },
	{ "redis://u:sec/ret@h", "the db" },
	{ "redis://u:secret@h?db=1", "no '?'" },
	{ "redis://u:secret@h/1?x", "no '?'" },
	{ "redis://u:secret@h#x", "no '?'" },
	{ "redis://u:secret%@h", "a '%'" },
	{ "redis://u:secret%4@h", "a '%'" },
	{ "redis://u:secret%zz@h", "a '%'" },
	{ "redis://u:secret%00@h", "a '%'" },
	{ "redis://u%00:secret@h", "a '%'" },
	{ "redis://u:secret@h%", "a '%'" },
	{ "unix://", "no path" },
	{ "unix://s", "no path" },
	{ "unix:///", "no path" },
	{ "unix://?db=1", "no path" },
	{ "unix://?db=1/", "the db" },
	{ "unix://u:secret@s", "no path" },
	{ "unix://u:secret/s", "starts with '/'" },
	{ "unix:///s?", "only '?db=N'" },
	{ "unix:///s?DB=1", "only '?db=N'" },
	{ "unix://u:secret@/s?x=1", "only '?db=N'" },
	{ "unix:///s?db=", "the db" },
	{ "unix:///s?db=x", "the db" },
	{ "unix:///s?db=1&x=2", "the db" },
	{ "unix:///s%zz", "a '%'" },
};

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void test_good(void)
{
	size_t i;

	for (i = 0; i < COUNT(good); i++) {
		struct error err = { .text = "" };
		struct url url;

		if (!check(url_parse(&url, good[i].text, &err),
			   "'%s' is a URL (%s)", good[i].text, err.text)) {
			url_release(&url);
			continue;
		}
		check(same(url.host, good[i].host) &&
			      same(url.port, good[i].port) &&
			      same(url.path, good[i].path) &&
			      url.db == good[i].db,
		      "'%s' says where (%s %s %s %d)", good[i].text,
		      url.host ? url.host : "-", url.port ? url.port : "-",
		      url.path ? url.path : "-", url.db);
		check(same(url.user, good[i].user) &&
			      same(url.password, good[i].password),
		      "'%s' says how to log in (%s %s)", good[i].text,
		      url.user ? url.user : "-",
		      url.password ? url.password : "-");
		check(same(url.shown, good[i].shown),
		      "'%s' is shown as %s (%s)", good[i].text, good[i].shown,
		      url.shown);
		url_release(&url);
	}
}

static void test_bad(void)
{
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		struct error err = { .text = "" };
		struct url url;
		bool done = url_parse(&url, bad[i].text, &err);

		check(!done && err.status == STATUS_USAGE &&
			      strstr(err.text, bad[i].cause),
		      "'%s' is refused: %s (%s)", bad[i].text, bad[i].cause,
		      err.text);
		check(!strstr(err.text, "sec") && !strstr(err.text, "ret"),
		      "[40] the message about '%s' tells no password",
		      bad[i].text);
		url_release(&url);
	}
}

static void test_lengths(void)
{
	struct error err = { .text = "" };
	char text[2000];
	struct url url;

	memset(text, 'a', sizeof(text));
	memcpy(text, "unix:///", 8);
	text[7 + 107] = '\0'; /* sun_path has 108 bytes, with the NUL */
	check(url_parse(&url, text, &err), "a path of 107 bytes is a socket's");
	url_release(&url);
	text[7 + 107] = 'a';
	text[7 + 108] = '\0';
	check(!url_parse(&url, text, &err) && err.status == STATUS_USAGE &&
		      strstr(err.text, "too long"),
	      "a path of 108 bytes is too long (%s)", err.text);
	url_release(&url);

	memset(text, 'a', sizeof(text));
	memcpy(text, "redis://", 8);
	text[sizeof(text) - 1] = '\0';
	check(url_parse(&url, text, &err) &&
		      strlen(url.host) == sizeof(text) - 9 &&
		      strlen(url.shown) < URL_SHOWN_MAX &&
		      strstr(url.shown, "...:6379/0"),
	      "a long host is kept, and shown cut (%s)", url.shown);
	url_release(&url);
}

static void test_password(void)
{
	struct error err = { .text = "" };
	struct url url;

	url_parse(&url, "redis://alice:secret@h", &err);
	check(url_set_password(&url, "other") && same(url.password, "other"),
	      "the password can be replaced");
	check(same(url.user, "alice") && same(url.host, "h"), "the rest stays");
	url_release(&url);
	check(!url.host && !url.port && !url.path && !url.user &&
		      !url.password && !url.db,
	      "a released url is empty");
	url_release(&url);
	check(url_parse(&url, "unix:///s?db=4", &err) && same(url.path, "/s"),
	      "a released url can be parsed into again");
	check(url_set_password(&url, "new") && same(url.password, "new"),
	      "a password can be set where there was none");
	url_release(&url);
}

static void test_hide(void)
{
	static const struct {
		const char *text;
		const char *hidden;
	} rows[] = {
		{ "redis://u:secret@h:1/2", "redis://u:******@h:1/2" },
		{ "redis://:secret@h", "redis://:******@h" },
		{ "rediss://u:secret@h", "rediss://u:******@h" },
		{ "redis+sentinel://u:secret@h,i/m",
		  "redis+sentinel://u:******@h,i/m" },
		{ "redis://u:se:cr@t@h", "redis://u:*******@h" },
		{ "redis://u:se/cret@h", "redis://u:*******@h" },
		{ "unix://u:secret@/s", "unix://u:******@/s" },
		{ "redis://u:secret@[::1]:6379",
		  "redis://u:******@[::1]:6379" },
		{ "redis://h:6379/0", "redis://h:6379/0" },
		{ "redis://u@h:6379/0", "redis://u@h:6379/0" },
		{ "redis://u@[::1]:6379", "redis://u@[::1]:6379" },
		{ "redis://[::1]:6379/0", "redis://[::1]:6379/0" },
		{ "unix:///run/redis.sock", "unix:///run/redis.sock" },
		{ "redis://u:@h", "redis://u:@h" },
		{ "deploy", "deploy" },
		{ "", "" },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		char *text = strdup(rows[i].text);

		if (!text)
			abort();
		url_hide_password(text);
		check(same(text, rows[i].hidden), "[40] '%s' becomes %s (%s)",
		      rows[i].text, rows[i].hidden, text);
		free(text);
	}
}

int main(void)
{
	test_good();
	test_bad();
	test_lengths();
	test_password();
	test_hide();
	return test_end();
}
