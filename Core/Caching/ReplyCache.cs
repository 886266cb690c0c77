using System.Buffers;
using System.Security.Cryptography;
using System.Text.Json;
using AiAspire.Core.Encryption;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace AiAspire.Core.Caching;

/// <summary>A reply that was kept.</summary>
/// <param name="Provider">Who gave it.</param>
/// <param name="Model">The model that gave it.</param>
/// <param name="Cost">What it cost, in US dollars.</param>
/// <param name="Completion">The reply as a whole <c>chat.completion</c>.</param>
public sealed record KeptReply(string Provider, string Model, decimal Cost, JsonElement Completion);

/// <summary>
/// Replies in Redis, of one user each: encrypted with the user's key, under a name made with it, so that whoever reads Redis learns
/// neither what was asked nor what was answered, and an erased user's entries are noise at once. While Redis is away there is no cache.
/// </summary>
public sealed partial class ReplyCache(IConnectionMultiplexer redis, UserKeys userKeys, IOptions<CachingOptions> options, TimeProvider time, ILogger<ReplyCache> logger)
{
    private const string Purpose = "reply-cache";

    /// <summary>Raised by hand when the meaning of an entry changes.</summary>
    private const byte Version = 1;
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);

    /// <summary>What a reply depends on: the user, the route with its models, and the request but for how it is delivered.</summary>
    public async ValueTask<ReplyKey> KeyAsync(ChatCall call, CancellationToken cancellationToken)
    {
        var cipher = await userKeys.GetAsync(call.Caller.TenantId, call.Caller.UserId, cancellationToken);
        var text = new ArrayBufferWriter<byte>(call.Request.Bytes + 256);
        using (var writer = new Utf8JsonWriter(text))
            Write(writer, call);
        var id = new Guid(cipher.Mac(text.WrittenSpan, Purpose).AsSpan(0, 16));
        return new ReplyKey(call.Caller.TenantId, id, cipher);
    }

    public async Task<KeptReply?> FindAsync(ReplyKey key)
    {
        try
        {
            var found = await redis.GetDatabase().StringGetAsync([key.Name, EpochOf(key.TenantId)]);
            if (found[0].IsNull)
                return null;
            var plain = JsonElement.Parse(key.Cipher.Decrypt((byte[])found[0]!, Place(key)));
            if (plain.GetProperty("epoch").GetInt64() != ((long?)found[1] ?? 0))
                return null;
            return new KeptReply(
                plain.GetProperty("provider").GetString()!, plain.GetProperty("model").GetString()!, plain.GetProperty("cost").GetDecimal(), plain.GetProperty("completion"));
        }
        catch (Exception e) when (e is RedisException or TimeoutException or CryptographicException or JsonException)
        {
            LogUnread(logger, e);
            return null;
        }
    }

    public async Task KeepAsync(ReplyKey key, string provider, string model, decimal cost, ReadOnlyMemory<byte> completion)
    {
        try
        {
            var database = redis.GetDatabase();
            var epoch = (long?)await database.StringGetAsync(EpochOf(key.TenantId)) ?? 0;
            var text = new ArrayBufferWriter<byte>(completion.Length + 256);
            using (var writer = new Utf8JsonWriter(text))
            {
                writer.WriteStartObject();
                writer.WriteNumber("epoch"u8, epoch);
                writer.WriteString("provider"u8, provider);
                writer.WriteString("model"u8, model);
                writer.WriteNumber("cost"u8, cost);
                writer.WritePropertyName("completion"u8);
                writer.WriteRawValue(completion.Span, skipInputValidation: true);
                writer.WriteEndObject();
            }

            await database.StringSetAsync(key.Name, key.Cipher.Encrypt(text.WrittenSpan, Place(key)), TimeSpan.FromSeconds(options.Value.TtlSeconds));
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            LogUnread(logger, e);
        }
    }

    /// <summary>Forgets every reply of a tenant, at once on all replicas.</summary>
    public Task ForgetAsync(Guid tenantId) => redis.GetDatabase().StringIncrementAsync(EpochOf(tenantId));

    /// <summary>Takes the right to make the call that others with the same key wait for.</summary>
    /// <returns>Null when another has it; empty, and everybody has it, when Redis is away.</returns>
    public async Task<RedisValue?> TakeFlightAsync(ReplyKey key)
    {
        try
        {
            RedisValue token = time.GetTimestamp().ToString(System.Globalization.CultureInfo.InvariantCulture) + Environment.ProcessId;
            return await redis.GetDatabase().LockTakeAsync(FlightOf(key), token, TimeSpan.FromSeconds(Math.Max(1, options.Value.SingleFlightSeconds))) ? token : (RedisValue?)null;
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            LogUnread(logger, e);
            return RedisValue.EmptyString;
        }
    }

    public async Task LandAsync(ReplyKey key, RedisValue token)
    {
        try
        {
            await redis.GetDatabase().LockReleaseAsync(FlightOf(key), token);
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            // The lock ends by itself.
            LogUnread(logger, e);
        }
    }

    /// <summary>Waits until whoever makes the call has made it, or has given up.</summary>
    public async Task<KeptReply?> AwaitFlightAsync(ReplyKey key, CancellationToken cancellationToken)
    {
        var start = time.GetTimestamp();
        var limit = TimeSpan.FromSeconds(options.Value.SingleFlightSeconds);
        while (time.GetElapsedTime(start) < limit)
        {
            await Task.Delay(Poll, time, cancellationToken);
            var flying = await IsFlyingAsync(key);
            if (await FindAsync(key) is { } kept)
                return kept;
            if (!flying)
                return null;
        }

        return null;
    }

    private async Task<bool> IsFlyingAsync(ReplyKey key)
    {
        try
        {
            return await redis.GetDatabase().KeyExistsAsync(FlightOf(key));
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            return false;
        }
    }

    private static void Write(Utf8JsonWriter writer, ChatCall call)
    {
        writer.WriteStartArray();
        writer.WriteNumberValue(Version);
        writer.WriteStringValue(call.Caller.TenantId);
        writer.WriteStringValue(call.Caller.UserId);
        writer.WriteStringValue(call.Feature);
        // Another model behind an alias, or another price, is another reply.
        foreach (var target in call.Route)
        {
            writer.WriteStringValue(target.Target.Provider);
            writer.WriteStringValue(target.Target.UpstreamModel);
            writer.WriteStringValue(target.Price.PriceId);
        }

        writer.WriteNumberValue(call.OutputCap);
        foreach (var field in call.Request.Json.EnumerateObject().OrderBy(static f => f.Name, StringComparer.Ordinal))
        {
            if (field.Name is "stream" or "stream_options" or "user" or "metadata" or "store")
                continue;
            writer.WriteStringValue(field.Name);
            field.Value.WriteTo(writer);
        }

        writer.WriteEndArray();
    }

    private static ContentPlace Place(ReplyKey key) => new("cache", "reply", key.Id);

    internal static RedisKey EpochOf(Guid tenantId) => $"aia:cache:epoch:{tenantId:N}";

    private static RedisKey FlightOf(ReplyKey key) => $"aia:cache:flight:{key.TenantId:N}:{key.Id:N}";

    [LoggerMessage(Level = LogLevel.Warning, Message = "The reply cache could not be used; the call goes to the provider")]
    private static partial void LogUnread(ILogger logger, Exception exception);
}

/// <summary>Where a reply is kept, and the cipher of the user whose it is.</summary>
public sealed record ReplyKey(Guid TenantId, Guid Id, ContentCipher Cipher)
{
    internal RedisKey Name => $"aia:cache:reply:{TenantId:N}:{Id:N}";
}
