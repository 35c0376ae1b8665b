/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Buckets of histograms, and the units that are counted in. */
#pragma once

#define NS_PER_US 1000
#define NS_PER_MS 1000000

#define ABOVE(bound)                                                                                                   \
	if (_value <= (bound))                                                                                         \
		break;                                                                                                 \
	_bucket++;
/* The bucket of a value: the number of bounds below it. BOUNDS is one of the *_BOUNDS in exec.h. */
#define BUCKET(BOUNDS, value)                                                                                          \
	({                                                                                                             \
		u64 _value = (value), _bucket = 0;                                                                     \
		do {                                                                                                   \
			BOUNDS(ABOVE)                                                                                  \
		} while (0);                                                                                           \
		_bucket;                                                                                               \
	})
