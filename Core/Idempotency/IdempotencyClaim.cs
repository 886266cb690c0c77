using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Tenancy;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace AiAspire.Core.Idempotency;

/// <summary>
/// The right to do the work of one key, renewed while this lives: when its process dies, the key is free again after one lease.
/// </summary>
public sealed class IdempotencyClaim : IAsyncDisposable
{
    private const string RenewSql =
        "UPDATE aiaspire.idempotency_keys SET lease_until = $6 WHERE tenant_id = $1 AND user_id = $2 AND route = $3 AND key = $4 AND request_id = $5 AND response IS NULL";

    private const string CompleteSql = "SELECT aiaspire.complete_idempotency_key($1, $2, $3, $4, $5, $6)";

    private readonly TenantSession _session;
    private readonly Caller _caller;
    private readonly string _route;
    private readonly string _key;
    private readonly Guid _requestId;
    private readonly CancellationTokenSource _over = new();
    private readonly Task _renewing;

    internal IdempotencyClaim(TenantSession session, Caller caller, string route, string key, Guid requestId, TimeSpan lease, TimeProvider time)
    {
        (_session, _caller, _route, _key, _requestId) = (session, caller, route, key, requestId);
        _renewing = RenewAsync(lease, time);
    }

    /// <summary>The SQLSTATE that <c>complete_idempotency_key</c> raises when another request holds the key by now.</summary>
    public const string TakenOver = "AI002";

    internal static ContentPlace ResponsePlace(Guid requestId) => new("idempotency_keys", "response", requestId);

    /// <summary>
    /// Stores the answer in the transaction of the effect. It throws there when the key was taken over meanwhile, and undoes the effect.
    /// </summary>
    public void AddCompletion(TenantBatch batch, ContentCipher cipher, ReadOnlySpan<byte> response)
        => batch.Add(CompleteSql, [.. Named(), Parameter.Of(cipher.Encrypt(response, ResponsePlace(_requestId)))]);

    /// <summary>
    /// The same in a session that may be another tenant's, as of an operator at work there. The key is the caller's own, so the rest of
    /// the transaction runs in the caller's scope: this comes last in it.
    /// </summary>
    public async Task CompleteAsync(AiAspireDb db, ContentCipher cipher, ReadOnlyMemory<byte> response, CancellationToken cancellationToken)
    {
        if (db.TenantId != _caller.TenantId)
            await db.SetScopeAsync(_caller.Scope, cancellationToken);
        var encrypted = cipher.Encrypt(response.Span, ResponsePlace(_requestId));
        await db.Database.ExecuteSqlAsync(
            $"SELECT aiaspire.complete_idempotency_key({_caller.TenantId}, {_caller.UserId}, {_route}, {_key}, {_requestId}, {encrypted})", cancellationToken);
    }

    /// <summary>Lets the key go: the request was refused or failed and had no effect, so a retry is the first one again.</summary>
    public Task ReleaseAsync(CancellationToken cancellationToken)
        => _session.ExecuteAsync(
            new TenantBatch().Add(
                "DELETE FROM aiaspire.idempotency_keys WHERE tenant_id = $1 AND user_id = $2 AND route = $3 AND key = $4 AND request_id = $5 AND response IS NULL",
                Named()),
            cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _over.CancelAsync();
        await _renewing;
        _over.Dispose();
    }

    /// <summary>Whose claim on which key: the first five parameters of every statement.</summary>
    private NpgsqlParameter[] Named()
        => [Parameter.Of(_caller.TenantId), Parameter.Of(_caller.UserId), Parameter.Of(_route), Parameter.Of(_key), Parameter.Of(_requestId)];

    private async Task RenewAsync(TimeSpan lease, TimeProvider time)
    {
        using var timer = new PeriodicTimer(lease / 3, time);
        try
        {
            while (await timer.WaitForNextTickAsync(_over.Token))
            {
                try
                {
                    await _session.ExecuteAsync(
                        new TenantBatch().Add(RenewSql, [.. Named(), Parameter.Of((time.GetUtcNow() + lease).UtcDateTime)]), _over.Token);
                }
                catch (NpgsqlException)
                {
                    // The next tick tries again; should none succeed, completion is fenced by the request's id.
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The work is over.
        }
    }
}
