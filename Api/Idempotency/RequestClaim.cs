using System.Text.Json;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Idempotency;
using Microsoft.AspNetCore.Http.Json;
using Microsoft.Extensions.Options;

namespace AiAspire.Api.Idempotency;

/// <summary>An answer as it is kept for the repeats of its request.</summary>
internal sealed record StoredAnswer(int Status, string? Location, JsonElement Body);

/// <summary>
/// What an endpoint marked with <see cref="IdempotencyEndpoints.OncePerKey"/> tells in the transaction of its effect: its answer, to be
/// given to repeats. Does nothing in a request without an <c>Idempotency-Key</c>.
/// </summary>
internal sealed class RequestClaim(IOptions<JsonOptions> json)
{
    private IdempotencyClaim? _claim;
    private ContentCipher? _cipher;

    /// <summary>Whether the endpoint has kept its answer, or there is nobody to keep it for.</summary>
    public bool IsSettled { get; private set; } = true;

    /// <summary>Keeps the answer, encrypted with the caller's key, if and when the transaction commits. It must be its last statement.</summary>
    public async Task CompleteAsync(AiAspireDb db, int status, string? location, object body, CancellationToken cancellationToken)
    {
        if (_claim is null)
            return;
        var answer = new StoredAnswer(status, location, JsonSerializer.SerializeToElement(body, json.Value.SerializerOptions));
        await _claim.CompleteAsync(db, _cipher!, JsonSerializer.SerializeToUtf8Bytes(answer), cancellationToken);
        IsSettled = true;
    }

    internal void Hold(IdempotencyClaim claim, ContentCipher cipher) => (_claim, _cipher, IsSettled) = (claim, cipher, false);
}
