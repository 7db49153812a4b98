/* watch.c - a server that tells anything to who watches a key
 *
 * All bytes are the server's script (wire.h).
 */
#include "lock/watch.h"

#include "fuzz.h"
#include "server/url.h"
#include "wire.h"

#define ROUNDS 200

/* One look at the key, as the first in line or the keeper does it. */
static void look(struct watch *watch)
{
	struct request req = { .argc = 0 };
	struct reply *reply = NULL;
	struct error err;
	msec sent = 0;

	request_add(&req, "GET", 3);
	request_add(&req, "key", 3);
	watch_arm(watch);
	servers_call(watch->servers, &req, clock_now() + 500, &sent, &reply,
		     &err);
	reply_free(reply);
}

/* False: a stop. */
static bool wait_for_news(struct watch *watch)
{
	msec begin = clock_now();
	msec deadline = begin + 1000;
	bool open = servers_have_ear(watch->servers);
	enum watch_event event = watch_wait(watch, deadline);

	must(clock_now() >= begin);
	/* Of what is told, the server has spoken to us. */
	must(event == WATCH_NOTHING || event == WATCH_STOP || open);
	must(event != WATCH_CUT || (!watch_is_open(watch) && !watch->armed));
	must(event != WATCH_CHANGED || !watch->armed);
	must(event != WATCH_FLUSHED || !watch->armed);
	if (event == WATCH_CHANGED || event == WATCH_FLUSHED)
		watch_looked(watch, true, 0, 0);
	return event != WATCH_STOP;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct servers servers;
	struct watch watch;
	struct error err;
	struct url url;
	int round;

	must(url_parse(&url, "redis://10.0.0.1", &err));
	wire_open(data, size, true);
	servers_init(&servers, &url, 300, 0);
	watch_init(&watch, &servers, "key", "turn");
	for (round = 0; round < ROUNDS; round++) {
		msec begin = clock_now();

		if (watch_open(&watch, begin + 2000))
			must(watch_is_open(&watch));
		must(clock_now() - begin <= 2000);
		if (watch_is_open(&watch))
			look(&watch);
		if (!wait_for_news(&watch))
			break;
	}
	watch_close(&watch);
	must(!watch_is_open(&watch));
	servers_release(&servers);
	wire_close();
	url_release(&url);
	return 0;
}
