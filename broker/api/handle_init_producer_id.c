/* InitProducerId for idempotent producers (KIP-98, KIP-360). A transactional id needs the
 * transaction coordinator, which is not served yet: COORDINATOR_NOT_AVAILABLE, which clients retry.
 */
#include "broker/api/broker.h"
#include "broker/api/handlers.h"
#include "broker/api/producer_ids.h"
#include "wire/init_producer_id.h"

static void answer(struct request *request, enum err e, int64_t producer_id)
{
    struct init_producer_id_response response;
    init_producer_id_response_init(&response);
    response.error_code = err_wire_code(e);
    response.producer_id = e ? -1 : producer_id;
    response.producer_epoch = e ? -1 : 0;
    request_answer(request, &response);
}

/* Id and epoch come together or not at all. */
static bool is_half_given(const struct init_producer_id_request *message)
{
    return (message->producer_id == NO_PRODUCER_ID) !=
           (message->producer_epoch == NO_PRODUCER_EPOCH);
}

void handle_init_producer_id(struct request *request)
{
    const struct init_producer_id_request *message = request->message;
    if (is_half_given(message))
        answer(request, ERR_INVALID_REQUEST, -1);
    else if (slice_is_null(message->transactional_id))
        producer_ids_next(request->broker->producer_ids, request, answer);
    else if (message->transactional_id.size == 0)
        answer(request, ERR_INVALID_REQUEST, -1);
    else
        answer(request, ERR_COORDINATOR_NOT_AVAILABLE, -1);
}
