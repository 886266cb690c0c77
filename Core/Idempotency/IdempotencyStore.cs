using System.Security.Cryptography;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Idempotency;

/// <summary>What a key turned out to be: a claim to do the work, or the answer of work already done.</summary>
/// <param name="Claim">Not null: do the work.</param>
/// <param name="Replay">Not null: the stored answer.</param>
public readonly record struct IdempotencyStart(IdempotencyClaim? Claim, byte[]? Replay);

/// <summary>
/// One effect and one charge for a key, however often it is sent. Not one provider call: a request that died after calling is done
/// again by the retry, and the ledger shows both calls.
/// </summary>
public sealed class IdempotencyStore(TenantSessions sessions, UserKeys userKeys, IOptions<IdempotencyOptions> options, TimeProvider time)
{
    /// <summary>How long an answer is kept for its repeats.</summary>
    public static readonly TimeSpan KeptFor = TimeSpan.FromHours(24);

    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(1);

    // Inserts, or takes over what has expired: the lease of a dead request, or the whole entry. The WHERE makes that one decision
    // atomic, so of a hundred equal requests one gets a row back.
    private const string ClaimSql =
        """
        INSERT INTO aiaspire.idempotency_keys AS e (tenant_id, user_id, route, key, fingerprint, request_id, lease_until, response, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8)
        ON CONFLICT (tenant_id, user_id, route, key) DO UPDATE SET
            fingerprint = excluded.fingerprint, request_id = excluded.request_id, lease_until = excluded.lease_until, response = NULL, expires_at = excluded.expires_at
        WHERE e.expires_at <= $9 OR (e.response IS NULL AND e.lease_until <= $9 AND e.fingerprint = excluded.fingerprint)
        """;

    /// <param name="caller">Whose key it is.</param>
    /// <param name="route">The route it was sent to.</param>
    /// <param name="key">The key.</param>
    /// <param name="payload">The request's body.</param>
    /// <param name="requestId">The request that would do the work.</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <exception cref="WireException">409: another request with this key is in progress. 422: the key was used for another payload.</exception>
    public async Task<IdempotencyStart> BeginAsync(
        Caller caller, string route, string key, ReadOnlyMemory<byte> payload, Guid requestId, CancellationToken cancellationToken)
    {
        var session = sessions.Open(caller.Scope);
        var fingerprint = Fingerprint(caller, payload.Span);
        var now = time.GetUtcNow().UtcDateTime;
        var lease = TimeSpan.FromSeconds(options.Value.LeaseSeconds);
        var claim = new TenantBatch().Add(
            ClaimSql,
            Parameter.Of(caller.TenantId),
            Parameter.Of(caller.UserId),
            Parameter.Of(route),
            Parameter.Of(key),
            Parameter.Of(fingerprint),
            Parameter.Of(requestId),
            Parameter.Of(now + lease),
            Parameter.Of(now + KeptFor),
            Parameter.Of(now));
        if ((await session.ExecuteAsync(claim, cancellationToken))[0] == 1)
            return new IdempotencyStart(new IdempotencyClaim(session, caller, route, key, requestId, lease, time), null);

        var entry = await session.RunAsync(
            (db, token) => db.IdempotencyEntries.AsNoTracking().SingleOrDefaultAsync(e => e.Route == route && e.Key == key, token), cancellationToken);
        if (entry is not null && !entry.Fingerprint.AsSpan().SequenceEqual(fingerprint))
        {
            throw new WireException(
                422, "idempotency_error", "idempotency_key_reused", $"This {IdempotencyKey.Header} was used for another request. Send another key with another payload.", IdempotencyKey.Header)
            {
                ShouldRetry = false,
            };
        }

        // Gone between the two statements: its request was refused and let the key go. The caller's retry will claim it.
        if (entry?.Response is null)
        {
            throw new WireException(409, "idempotency_error", "request_in_progress", $"A request with this {IdempotencyKey.Header} is in progress. Ask again shortly.", IdempotencyKey.Header)
            {
                RetryAfter = AskAgain,
            };
        }

        var cipher = await userKeys.GetAsync(caller.TenantId, caller.UserId, cancellationToken);
        return new IdempotencyStart(null, cipher.Decrypt(entry.Response, IdempotencyClaim.ResponsePlace(entry.RequestId)));
    }

    /// <summary>Deletes what is past its day, for all tenants, in short transactions.</summary>
    public Task DeleteExpiredAsync(CancellationToken cancellationToken)
        => sessions.DeleteInStepsAsync("SELECT aiaspire.delete_expired_idempotency_keys($1)", atOnce: 1_000, cancellationToken);

    private static byte[] Fingerprint(Caller caller, ReadOnlySpan<byte> payload)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        // The pseudonym keeps a short payload from being guessed by its hash alone.
        hash.AppendData(caller.Pseudonym.ToByteArray());
        hash.AppendData(payload);
        return hash.GetHashAndReset();
    }
}
