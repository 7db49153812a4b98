/* conn.c - one connection to one server, speaking RESP2 */
#include "server/conn.h"

#include "base/escape.h"
#include "base/trace.h"
#include "server/url.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One reply may take this much: a full page of a scan with names of 1 KB. */
#define REPLY_BYTES_MAX	   ((size_t)4 << 20)
#define REPLY_ELEMENTS_MAX 65536 /* of all its arrays together */
#define REPLY_DEPTH_MAX	   4	 /* hiredis 1 has no limit of its own */
/* A request that was sent when a signal came may still be answered; a healthy
 * server needs far less than this. */
#define STOP_GRACE	  ((msec)50)
#define LOGIN_REPLIES_MAX 2

struct conn {
	const struct url *url;
	int fd;
	redisReader *reader;
	const redisReplyObjectFunctions *usual;
	redisReplyObjectFunctions functions; /* usual, but for arrays */
	size_t fed;	 /* bytes read since the last whole reply */
	size_t elements; /* that its arrays have announced */
	bool excessive;	 /* it is deeper or longer than any to rlock */
	bool spoke;	 /* a whole reply has come, ever */
	bool alien;	 /* and none will: it is no server of ours */
	bool logged_in;	 /* login was sent and answered */
	bool track;	 /* what the next request reads is to be tracked */
	bool untracked;	 /* but the server did not */
	bool refuses;	 /* and never will */
	bool broken;
};

void request_add(struct request *req, const char *text, size_t len)
{
	req->argv[req->argc] = text;
	req->len[req->argc] = len;
	req->argc++;
}

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

/* hiredis reserves the room that an array announces before any element has
 * come, takes some thirty times as much memory for an element as it has bytes,
 * and frees what is nested by recursion. */
static void *create_array(const redisReadTask *task, element_count elements)
{
	struct conn *conn = task->privdata;
	const redisReadTask *outer = task;
	int depth = 0;

	while (outer && depth <= REPLY_DEPTH_MAX) {
		outer = outer->parent;
		depth++;
	}
	conn->excessive =
		depth > REPLY_DEPTH_MAX ||
		(size_t)elements > REPLY_ELEMENTS_MAX - conn->elements;
	if (conn->excessive)
		return NULL;
	conn->elements += (size_t)elements;
	return conn->usual->createArray(task, elements);
}

struct conn *conn_open(const struct url *url, const struct patience *p,
		       struct error *err)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn) {
		error_set(err, STATUS_SYSTEM, "out of memory");
		return NULL;
	}
	conn->url = url;
	conn->fd = -1;
	conn->reader = redisReaderCreate();
	if (!conn->reader) {
		error_set(err, STATUS_SYSTEM, "out of memory");
		goto out;
	}
	conn->usual = conn->reader->fn;
	conn->functions = *conn->usual;
	conn->functions.createArray = create_array;
	conn->reader->fn = &conn->functions;
	conn->reader->privdata = conn;
	conn->fd = net_connect(url, p, err);
	if (conn->fd >= 0)
		return conn;
out:
	conn_close(conn);
	return NULL;
}

void conn_close(struct conn *conn)
{
	if (!conn)
		return;
	if (conn->fd >= 0)
		close(conn->fd);
	if (conn->reader)
		redisReaderFree(conn->reader);
	free(conn);
}

bool conn_is_usable(const struct conn *conn)
{
	return !conn->broken;
}

void conn_track_next(struct conn *conn)
{
	conn->track = true;
}

bool conn_is_tracking(const struct conn *conn)
{
	return !conn->untracked;
}

bool conn_refuses_tracking(const struct conn *conn)
{
	return conn->refuses;
}

void conn_keep_alive(const struct conn *conn)
{
	net_keep_alive(conn->fd);
}

enum net_outcome conn_wait_either(const struct conn *a, const struct conn *b,
				  const struct patience *p)
{
	return net_wait_either(a->fd, b ? b->fd : -1, p);
}

bool conn_is_quiet(const struct conn *conn)
{
	struct patience none = { .deadline = 0, .stop_fd = -1 };

	return conn->reader->pos == conn->reader->len &&
	       net_wait(conn->fd, POLLIN, &none) == NET_LATE;
}

/* Appends one formatted request to the bytes to send. */
static bool append(char **bytes, size_t *len, int argc, const char **argv,
		   const size_t *argvlen)
{
	char *text = NULL;
	long long added = redisFormatCommandArgv(&text, argc, argv, argvlen);
	char *joined;

	if (added < 0)
		return false;
	joined = realloc(*bytes, *len + (size_t)added);
	if (joined) {
		memcpy(joined + *len, text, (size_t)added);
		*bytes = joined;
		*len += (size_t)added;
	}
	redisFreeCommand(text);
	return joined != NULL;
}

/* AUTH, if there is a password, and CLIENT SETNAME; *count replies follow. */
static bool append_login(const struct url *url, char **bytes, size_t *len,
			 int *count)
{
	const char *auth[3] = { "AUTH" };
	const char *name[3] = { "CLIENT", "SETNAME", "rlock" };
	int argc = 1;

	*count = 1;
	if (url->password) {
		if (url->user)
			auth[argc++] = url->user;
		auth[argc++] = url->password;
		if (!append(bytes, len, argc, auth, NULL))
			return false;
		++*count;
	}
	return append(bytes, len, 3, name, NULL);
}

/* The request and what goes ahead of it, in one write; *logins replies to the
 * login come first. */
static bool compose(const struct conn *conn, const struct request *req,
		    char **bytes, size_t *len, int *logins)
{
	const char *caching[3] = { "CLIENT", "CACHING", "YES" };

	if (!conn->logged_in && !append_login(conn->url, bytes, len, logins))
		return false;
	if (conn->track && !append(bytes, len, 3, caching, NULL))
		return false;
	return append(bytes, len, req->argc, (const char **)req->argv,
		      req->len);
}

/* --- errors ----------------------------------------------------------- */

static const struct refusal {
	const char *word;
	enum status status;
	bool passing;
	const char *remedy;
} refusals[] = {
	{ "NOAUTH", STATUS_DENIED, false, "give a password" },
	{ "WRONGPASS", STATUS_DENIED, false, "check user and password" },
	{ "NOPERM", STATUS_DENIED, false, "the user lacks a right" },
	{ "DENIED", STATUS_DENIED, false, "the server is in protected mode" },
	{ "LOADING", STATUS_UNAVAILABLE, true, NULL },
	{ "BUSY", STATUS_UNAVAILABLE, true, NULL },
	{ "MASTERDOWN", STATUS_UNAVAILABLE, true, NULL },
	{ "CLUSTERDOWN", STATUS_UNAVAILABLE, true, NULL },
	{ "TRYAGAIN", STATUS_UNAVAILABLE, true, NULL },
	{ "READONLY", STATUS_UNAVAILABLE, true, NULL },
	{ "OOM", STATUS_UNAVAILABLE, true, NULL },
	{ "MISCONF", STATUS_UNAVAILABLE, true, NULL },
	{ "NOREPLICAS", STATUS_UNAVAILABLE, true, NULL },
	{ "MOVED", STATUS_UNAVAILABLE, false, "name the node of the slot" },
	{ "ASK", STATUS_UNAVAILABLE, true, NULL },
	{ "CROSSSLOT", STATUS_USAGE, false,
	  "in a cluster a name with '}' needs a '{tag}'" },
	{ "WRONGTYPE", STATUS_DATA, false, NULL },
};

/* The texts that carry no word of their own. */
static const struct refusal sayings[] = {
	{ "max number of clients reached", STATUS_UNAVAILABLE, true, NULL },
	/* CLIENT TRACKING, when the ear has just been cut off. */
	{ "you want redirect to", STATUS_UNAVAILABLE, true, NULL },
	/* NOPERM loses its word inside a script of Redis 7. */
	{ "can't run this command", STATUS_DENIED, false,
	  "the user lacks a right" },
	{ "can't access at least one of the keys", STATUS_DENIED, false,
	  "the user lacks a right" },
	{ "ACL failure in script", STATUS_DENIED, false,
	  "the user lacks a right" }, /* Redis 7.2, Valkey */
	/* Redis and Valkey take no long request before the login. */
	{ "unauthenticated", STATUS_DENIED, false, "give a password" },
	{ "AUTH <password> called without any password", STATUS_DENIED, false,
	  "leave the password out" },
	{ "DB index is out of range", STATUS_USAGE, false,
	  "the server has no such db" },
};

/* Does text start with word, or (servers before 7 wrap an error from a script
 * into one of their own) have it after a blank, a dash or a quote? */
static bool says(const char *text, const char *word)
{
	size_t len = strlen(word);
	const char *at = text;

	while ((at = strstr(at, word)) != NULL) {
		bool starts = at == text || strchr(" -'", at[-1]);
		bool ends = at[len] == ' ' || at[len] == '\0';

		if (starts && ends)
			return true;
		at += len;
	}
	return false;
}

static const struct refusal *find_refusal(const char *text)
{
	size_t i;

	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (!strncmp(text, refusals[i].word,
			     strlen(refusals[i].word)) &&
		    says(text, refusals[i].word))
			return &refusals[i];
	for (i = 0; i < sizeof(sayings) / sizeof(sayings[0]); i++)
		if (strstr(text, sayings[i].word))
			return &sayings[i];
	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (says(text, refusals[i].word))
			return &refusals[i];
	return NULL;
}

/* How much of an error reply is for people.  It ends where the server repeats
 * what it was asked, as to AUTH it does not know, the password; and where its
 * account of the script begins: " script: " and a hash, at the last such
 * place. */
static size_t telling_part(const char *text)
{
	const char *args = strstr(text, ", with args beginning with");
	const char *end = args ? args : text + strlen(text);
	const char *at = text;

	while (!args && (at = strstr(at, " script: ")) != NULL) {
		at += strlen(" script: ");
		if (strspn(at, "0123456789abcdef") == 40)
			end = at - strlen(" script: ");
	}
	return (size_t)(end - text);
}

/* Where the error itself begins: servers before 7 put ahead of what a script
 * ended with where that was, "ERR Error running script (call to f_HASH):
 * @user_script:LINE: @user_script: LINE: -". */
static const char *script_error(const char *text)
{
	static const char at[] = "@user_script: ";
	const char *found = strstr(text, at);

	if (strncmp(text, "ERR Error running script", 24) != 0 || !found)
		return text;
	found += strlen(at);
	found += strspn(found, "0123456789");
	return strncmp(found, ": -", 3) ? text : found + 3;
}

/* Turns an error reply into a message. */
static void refused(const struct conn *conn, const char *text,
		    struct error *err)
{
	const struct refusal *known = find_refusal(text);
	const char *head = script_error(text);
	size_t len = telling_part(head);
	char shown[300];

	if (len)
		escape_display(shown, sizeof(shown), head, len);
	else
		strcpy(shown, "no reason given");
	error_set(err, known ? known->status : STATUS_UNAVAILABLE,
		  "server '%s' refuses: %s%s%s%s", conn->url->shown, shown,
		  known && known->remedy ? " (" : "",
		  known && known->remedy ? known->remedy : "",
		  known && known->remedy ? ")" : "");
	err->passing = known && known->passing;
}

/* The connection is over, or the patience. */
static void failed(struct conn *conn, enum net_outcome how, int errnum,
		   struct error *err)
{
	conn->broken = true;
	switch (how) {
	case NET_LATE:
		error_set(err, STATUS_UNAVAILABLE,
			  "no answer in time from '%s'", conn->url->shown);
		break;
	case NET_STOPPED:
		error_set(err, STATUS_UNAVAILABLE,
			  "interrupted while waiting for '%s'",
			  conn->url->shown);
		err->stopped = true;
		break;
	case NET_READY:
		if (errnum == ECONNRESET)
			error_set(err, STATUS_UNAVAILABLE,
				  "'%s' closed the connection",
				  conn->url->shown);
		else
			error_errno(err, STATUS_UNAVAILABLE, errnum,
				    "connection to '%s' failed",
				    conn->url->shown);
		break;
	}
}

/* --- the exchange ----------------------------------------------------- */

/* Waits, but once a stop has come only for STOP_GRACE more. */
static enum net_outcome await(struct conn *conn, short events,
			      struct patience *p, bool *stopped)
{
	enum net_outcome how = net_wait(conn->fd, events, p);
	msec end;

	if (how == NET_STOPPED) {
		*stopped = true;
		end = clock_after(clock_now(), STOP_GRACE);
		p->stop_fd = -1;
		if (end < p->deadline)
			p->deadline = end;
		how = net_wait(conn->fd, events, p);
	}
	return how == NET_LATE && *stopped ? NET_STOPPED : how;
}

static bool send_all(struct conn *conn, const char *bytes, size_t len,
		     struct patience *p, bool *stopped, bool *began,
		     struct error *err)
{
	while (len) {
		ssize_t n = net_write(conn->fd, bytes, len);
		enum net_outcome how = NET_READY;

		if (n > 0)
			*began = true;
		if (n == 0)
			how = await(conn, POLLOUT, p, stopped);
		if (n < 0 || how != NET_READY) {
			failed(conn, how, errno, err);
			return false;
		}
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

/* Gives what was read to the parser and asks it for a whole reply; NULL
 * without an error means: more is needed. */
static struct reply *parse(struct conn *conn, const char *bytes, size_t len,
			   struct error *err)
{
	void *reply = NULL;
	int code = REDIS_OK;

	conn->fed += len;
	if (len)
		code = redisReaderFeed(conn->reader, bytes, len);
	if (code == REDIS_OK)
		code = redisReaderGetReply(conn->reader, &reply);
	if (conn->excessive ||
	    (code == REDIS_OK && !reply && conn->fed > REPLY_BYTES_MAX)) {
		error_set(err, STATUS_UNAVAILABLE,
			  "'%s' sends a reply that is too long",
			  conn->url->shown);
		conn->broken = true;
	} else if (code != REDIS_OK) {
		char shown[100];

		escape_display(shown, sizeof(shown), conn->reader->errstr,
			       strlen(conn->reader->errstr));
		error_set(err, STATUS_UNAVAILABLE,
			  "'%s' does not speak the Redis protocol (%s)",
			  conn->url->shown, shown);
		conn->alien = !conn->spoke;
		conn->broken = true;
	} else if (reply) {
		conn->fed = 0;
		conn->elements = 0;
		conn->spoke = true;
	}
	return reply;
}

static struct reply *receive(struct conn *conn, struct patience *p,
			     bool *stopped, struct error *err)
{
	struct reply *reply = parse(conn, NULL, 0, err);
	char bytes[16384];

	while (!reply && !conn->broken) {
		ssize_t n = net_read(conn->fd, bytes, sizeof(bytes));
		enum net_outcome how = NET_READY;

		if (n > 0)
			reply = parse(conn, bytes, (size_t)n, err);
		else if (n == 0)
			how = await(conn, POLLIN, p, stopped);
		if (reply || conn->broken)
			break;
		/* Bytes without end must not outrun the clock. */
		if (n > 0 && clock_now() >= p->deadline)
			how = *stopped ? NET_STOPPED : NET_LATE;
		if (n < 0 || how != NET_READY)
			failed(conn, how, errno, err);
	}
	return reply;
}

static const char *error_text(const struct reply *reply)
{
	const redisReply *r = (const redisReply *)reply;

	return r->type == REDIS_REPLY_ERROR ? r->str : NULL;
}

/* A server that wants none of us says so once, whatever we sent, and closes. */
static bool shuts_the_door(const char *text)
{
	return text && (!strncmp(text, "DENIED ", 7) ||
			strstr(text, "max number of clients reached"));
}

/* Reads the replies to the login.  The name is a courtesy: who may not set it
 * goes without.  A refusal of AUTH is kept in err. */
static bool receive_login(struct conn *conn, int count, struct patience *p,
			  bool *stopped, bool *denied, struct error *err)
{
	int i;

	for (i = 0; i < count; i++) {
		struct reply *reply = receive(conn, p, stopped, err);
		bool is_auth = count == LOGIN_REPLIES_MAX && i == 0;
		bool shut;

		if (!reply)
			return false;
		shut = shuts_the_door(error_text(reply));
		if (shut || (is_auth && error_text(reply))) {
			refused(conn, error_text(reply), err);
			*denied = true;
		}
		reply_free(reply);
		if (shut) {
			conn->broken = true;
			return false;
		}
	}
	conn->logged_in = true;
	return true;
}

/* Reads the reply to CLIENT CACHING.  A server that refuses it may have carried
 * the request out all the same, and nobody is told of changes. */
static bool receive_caching(struct conn *conn, struct patience *p,
			    bool *stopped, struct error *err)
{
	struct reply *reply = receive(conn, p, stopped, err);

	if (!reply)
		return false;
	if (error_text(reply)) {
		refused(conn, error_text(reply), err);
		trace("%s", err->text);
		conn->untracked = true;
		conn->refuses = !err->passing;
	}
	reply_free(reply);
	return true;
}

/* Nothing could be sent: a server that closes at once may have said why. */
static void hear_farewell(struct conn *conn, struct error *err)
{
	char bytes[512];
	ssize_t n = net_read(conn->fd, bytes, sizeof(bytes));
	struct reply *reply = NULL;
	struct error why;

	if (n > 0)
		reply = parse(conn, bytes, (size_t)n, &why);
	if (reply && error_text(reply))
		refused(conn, error_text(reply), err);
	reply_free(reply);
}

/* What the server said to the request itself, the login being settled. */
static enum fate judge(struct conn *conn, struct reply *answer, bool denied,
		       struct reply **reply, struct error *err)
{
	const char *text = error_text(answer);

	if (!text && !denied) {
		*reply = answer;
		return FATE_ANSWERED;
	}
	if (!denied)
		refused(conn, text, err);
	if (text)
		reply_free(answer);
	else
		*reply = answer; /* done, in spite of the refused login */
	return FATE_REFUSED;
}

enum fate conn_call(struct conn *conn, const struct request *req,
		    const struct patience *p, struct reply **reply,
		    struct error *err)
{
	struct patience left = *p;
	struct reply *answer = NULL;
	char *bytes = NULL;
	size_t len = 0;
	int logins = 0;
	bool stopped = false;
	bool denied = false;
	bool began = false;
	bool sent = false;
	bool track = conn->track;

	*reply = NULL;
	if (!compose(conn, req, &bytes, &len, &logins)) {
		error_set(err, STATUS_SYSTEM, "out of memory");
		conn->broken = true;
	} else {
		sent = send_all(conn, bytes, len, &left, &stopped, &began, err);
	}
	if (bytes)
		explicit_bzero(bytes, len); /* it may hold the password */
	free(bytes);
	conn->track = false;
	if (!sent) {
		hear_farewell(conn, err);
		return began ? FATE_UNKNOWN : FATE_UNSENT;
	}
	if (receive_login(conn, logins, &left, &stopped, &denied, err) &&
	    (!track || receive_caching(conn, &left, &stopped, err)))
		answer = receive(conn, &left, &stopped, err);
	if (!answer)
		return conn->alien || (conn->broken && denied &&
				       !conn->logged_in)
			       ? FATE_REFUSED
			       : FATE_UNKNOWN;
	return judge(conn, answer, denied, reply, err);
}

bool conn_next(struct conn *conn, struct reply **reply)
{
	char bytes[4096];
	struct error err;
	ssize_t n;

	*reply = parse(conn, NULL, 0, &err);
	while (!*reply && !conn->broken &&
	       (n = net_read(conn->fd, bytes, sizeof(bytes))) != 0) {
		if (n < 0)
			failed(conn, NET_READY, errno, &err);
		else
			*reply = parse(conn, bytes, (size_t)n, &err);
	}
	if (conn->broken)
		trace("%s", err.text);
	return !conn->broken;
}

/* --- replies ---------------------------------------------------------- */

void reply_free(struct reply *reply)
{
	if (reply)
		freeReplyObject(reply);
}

size_t reply_count(const struct reply *reply)
{
	const redisReply *r = (const redisReply *)reply;

	return r && r->type == REDIS_REPLY_ARRAY ? r->elements : 0;
}

const struct reply *reply_at(const struct reply *reply, size_t i)
{
	const redisReply *r = (const redisReply *)reply;

	if (i >= reply_count(reply))
		return NULL;
	return (const struct reply *)r->element[i];
}

bool reply_integer(const struct reply *reply, long long *value)
{
	const redisReply *r = (const redisReply *)reply;

	if (!r || r->type != REDIS_REPLY_INTEGER)
		return false;
	*value = r->integer;
	return true;
}

bool reply_text(const struct reply *reply, const char **text, size_t *len)
{
	const redisReply *r = (const redisReply *)reply;

	if (!r ||
	    (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_STATUS))
		return false;
	*text = r->str;
	*len = (size_t)r->len;
	return true;
}
