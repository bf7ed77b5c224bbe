/* What a broker answers that has neither SASL nor an authorizer: SaslHandshake and SaslAuthenticate
 * come on a connection that is through with authentication, as every one of a PLAINTEXT listener is
 * from its beginning; access control lists are disabled; and delegation tokens (KIP-48) are not
 * given to those who did not prove who they are. Starting with an authorizer or SASL is refused, so
 * these answers are whole. */
#include "broker/api/handlers.h"
#include "wire/create_acls.h"
#include "wire/create_delegation_token.h"
#include "wire/delete_acls.h"
#include "wire/describe_acls.h"
#include "wire/describe_delegation_token.h"
#include "wire/expire_delegation_token.h"
#include "wire/renew_delegation_token.h"
#include "wire/sasl_authenticate.h"
#include "wire/sasl_handshake.h"

/* --- SASL --- */

void handle_sasl_handshake(struct request *request)
{
    struct sasl_handshake_response response;
    sasl_handshake_response_init(&response);
    response.error_code = err_wire_code(ERR_ILLEGAL_SASL_STATE);
    request_answer(request, &response);
}

void handle_sasl_authenticate(struct request *request)
{
    struct sasl_authenticate_response response;
    sasl_authenticate_response_init(&response);
    response.error_code = err_wire_code(ERR_ILLEGAL_SASL_STATE);
    response.error_message =
        SLICE_LITERAL("SaslAuthenticate request received after successful authentication");
    request_answer(request, &response);
}

/* --- Access control lists --- */

#define NO_AUTHORIZER SLICE_LITERAL("No Authorizer is configured.")

/* 0 stands for what a reader of the protocol does not know, and may not be asked for. Other numbers
 * without a meaning pass, as they do in Kafka. */
static bool is_unknown(int8_t resource_type, int8_t pattern_type, int8_t operation,
                       int8_t permission_type)
{
    return !resource_type || !pattern_type || !operation || !permission_type;
}

void handle_describe_acls(struct request *request)
{
    const struct describe_acls_request *message = request->message;
    if (is_unknown(message->resource_type_filter, message->pattern_type_filter, message->operation,
                   message->permission_type)) {
        request_refuse(request, "the filter of access control lists has an unknown element");
        return;
    }
    struct describe_acls_response response;
    describe_acls_response_init(&response);
    response.error_code = err_wire_code(ERR_SECURITY_DISABLED);
    response.error_message = SLICE_LITERAL("No Authorizer is configured on the broker");
    request_answer(request, &response);
}

void handle_create_acls(struct request *request)
{
    const struct create_acls_request *message = request->message;
    struct create_acls_response response;
    create_acls_response_init(&response);
    response.results =
        arena_new_array(request->arena, struct create_acls_response_acl_creation_result,
                        message->creations_count + 1);
    response.results_count = message->creations_count;
    for (int32_t i = 0; i < message->creations_count; i++) {
        const struct create_acls_request_acl_creation *asked = &message->creations[i];
        if (is_unknown(asked->resource_type, asked->resource_pattern_type, asked->operation,
                       asked->permission_type)) {
            request_refuse(request, "an access control list has an unknown element");
            return;
        }
        create_acls_response_acl_creation_result_init(&response.results[i]);
        response.results[i].error_code = err_wire_code(ERR_SECURITY_DISABLED);
        response.results[i].error_message = NO_AUTHORIZER;
    }
    request_answer(request, &response);
}

void handle_delete_acls(struct request *request)
{
    const struct delete_acls_request *message = request->message;
    struct delete_acls_response response;
    delete_acls_response_init(&response);
    response.filter_results =
        arena_new_array(request->arena, struct delete_acls_response_delete_acls_filter_result,
                        message->filters_count + 1);
    response.filter_results_count = message->filters_count;
    for (int32_t i = 0; i < message->filters_count; i++) {
        const struct delete_acls_request_delete_acls_filter *asked = &message->filters[i];
        if (is_unknown(asked->resource_type_filter, asked->pattern_type_filter, asked->operation,
                       asked->permission_type)) {
            request_refuse(request, "the filter of access control lists has an unknown element");
            return;
        }
        delete_acls_response_delete_acls_filter_result_init(&response.filter_results[i]);
        response.filter_results[i].error_code = err_wire_code(ERR_SECURITY_DISABLED);
        response.filter_results[i].error_message = NO_AUTHORIZER;
    }
    request_answer(request, &response);
}

/* --- Delegation tokens --- */

#define USER      SLICE_LITERAL("User")
#define ANONYMOUS SLICE_LITERAL("ANONYMOUS")

void handle_create_delegation_token(struct request *request)
{
    const struct create_delegation_token_request *message = request->message;
    struct create_delegation_token_response response;
    create_delegation_token_response_init(&response);
    bool has_owner = request->api_version >= 3 && message->owner_principal_name.size > 0;
    bool is_broken = has_owner && slice_is_null(message->owner_principal_type);
    response.error_code = err_wire_code(is_broken ? ERR_UNKNOWN_SERVER_ERROR
                                                  : ERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED);
    has_owner &= !is_broken; /* a name without a type is Kafka's own mistake, and told as one */
    response.principal_type = has_owner ? message->owner_principal_type : USER;
    response.principal_name = has_owner ? message->owner_principal_name : ANONYMOUS;
    if (request->api_version >= 3) {
        response.token_requester_principal_type = USER;
        response.token_requester_principal_name = ANONYMOUS;
    }
    response.issue_timestamp_ms = response.expiry_timestamp_ms = response.max_timestamp_ms = -1;
    response.token_id = SLICE_LITERAL("");
    request_answer(request, &response);
}

void handle_renew_delegation_token(struct request *request)
{
    struct renew_delegation_token_response response;
    renew_delegation_token_response_init(&response);
    response.error_code = err_wire_code(ERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED);
    response.expiry_timestamp_ms = -1;
    request_answer(request, &response);
}

void handle_expire_delegation_token(struct request *request)
{
    struct expire_delegation_token_response response;
    expire_delegation_token_response_init(&response);
    response.error_code = err_wire_code(ERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED);
    response.expiry_timestamp_ms = -1;
    request_answer(request, &response);
}

void handle_describe_delegation_token(struct request *request)
{
    struct describe_delegation_token_response response;
    describe_delegation_token_response_init(&response);
    response.error_code = err_wire_code(ERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED);
    request_answer(request, &response);
}
