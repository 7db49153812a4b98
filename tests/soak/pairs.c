/* pairs.c - take a lock and free it, again and again, in one process
 *
 *   pairs URL COUNT
 *
 * Nothing may grow with it: no descriptors, no memory.  Every tenth pair has a
 * renewal and meets a second one that is refused, every hundredth has new
 * connections.
 */
#include "lock/lock.h"
#include "server/url.h"

#include "test.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES	16
#define WARM	1000  /* pairs, after which nothing may grow any more */
#define TTL	60000 /* ms */
#define TIMEOUT 5000  /* ms */
#define GROWTH	256   /* kB: the kernel counts in lots of pages */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_TELLS false /* a sanitizer keeps what was freed */
#else
#define MEMORY_TELLS true
#endif

static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static long memory(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[200];
	long kb = -1;

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "VmRSS:", 6))
			kb = strtol(line + 6, NULL, 10);
	fclose(file);
	return kb;
}

static bool make_token(struct lock *lock)
{
	struct error err;

	return token_make(&lock->token, "pairs@test", (long)getpid(), TTL, "",
			  &err);
}

/* Somebody else does not get it; the holder can renew it. */
static bool is_held(struct lock *lock)
{
	struct place nowhere;
	struct lock other;
	struct holder holder;
	struct error err;
	msec left;

	place_init(&nowhere, NULL);
	lock_init(&other, lock->servers, lock->name, TTL);
	return make_token(&other) &&
	       lock_acquire(&other, &nowhere, false, CLOCK_NEVER, &holder,
			    &err) == LOCK_HELD &&
	       lock_extend(lock, LOCK_EXTEND_ANEW, TTL, CLOCK_NEVER, &left,
			   &holder, &err) == LOCK_OK;
}

static bool pair(struct servers *servers, int n, uint64_t *fence)
{
	static const char *const names[NAMES] = { "a", "b", "c", "d", "e", "f",
						  "g", "h", "i", "j", "k", "l",
						  "m", "n", "o", "p" };
	struct place nowhere;
	struct lock lock;
	struct holder holder;
	struct error err;
	bool grows;

	if (n % 100 == 0)
		servers_hang_up(servers);
	place_init(&nowhere, NULL);
	lock_init(&lock, servers, names[n % NAMES], TTL);
	if (!make_token(&lock) ||
	    lock_acquire(&lock, &nowhere, false, CLOCK_NEVER, &holder, &err) !=
		    LOCK_OK)
		return false;
	grows = lock.fence > fence[n % NAMES];
	fence[n % NAMES] = lock.fence;
	return grows && (n % 10 || is_held(&lock)) &&
	       lock_release(&lock, 0, CLOCK_NEVER, &holder, &err) == LOCK_OK;
}

int main(int argc, char *argv[])
{
	uint64_t fence[NAMES] = { 0 };
	struct servers servers;
	struct error err;
	struct url url;
	int count = argc == 3 ? atoi(argv[2]) : 0;
	int files = 0;
	long kb = 0;
	int n;

	if (count <= WARM || !url_parse(&url, argv[1], &err))
		return 64;
	servers_init(&servers, &url, TIMEOUT, -1);
	for (n = 0; n < count && pair(&servers, n, fence); n++) {
		if (n == WARM) {
			files = descriptors();
			kb = memory();
		}
	}
	check(n == count, "%d pairs, the fence grows with each", count);
	printf("# %d pairs: %d descriptors, then %d; %ld kB, then %ld\n", n,
	       files, descriptors(), kb, memory());
	check(descriptors() == files, "no descriptor is left open");
	check(!MEMORY_TELLS || memory() <= kb + GROWTH,
	      "the memory does not grow");
	servers_release(&servers);
	url_release(&url);
	return test_end();
}
