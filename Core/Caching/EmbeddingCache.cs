using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using AiAspire.Core.Encryption;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace AiAspire.Core.Caching;

/// <summary>A vector that was kept.</summary>
/// <param name="Provider">Who gave it.</param>
/// <param name="Model">The model that gave it.</param>
/// <param name="ReplyModel">The model as the provider names it in its replies.</param>
/// <param name="Cost">Its share of what its request cost, in US dollars.</param>
/// <param name="Vector">32-bit floats, little endian.</param>
public sealed record KeptVector(string Provider, string Model, string ReplyModel, decimal Cost, byte[] Vector);

/// <summary>One thing to embed, however often the request has it.</summary>
/// <param name="Places">Where it stands in the input.</param>
/// <param name="Ids">Its entry's name at each target of the route, in the route's order.</param>
public sealed record EmbeddingItem(List<int> Places, Guid[] Ids)
{
    /// <summary>Of calls for the same thing at the same moment, one makes it.</summary>
    internal Guid Flight => Ids[0];
}

/// <summary>The items of a request, and the cipher of the user whose they are.</summary>
public sealed record EmbeddingItems(Guid TenantId, ContentCipher Cipher, IReadOnlyList<EmbeddingItem> Items);

/// <summary>
/// Vectors in Redis, of one user each, like replies (<see cref="ReplyCache"/>): encrypted with the user's key, under a name made with it.
/// The name has the provider, its model, and every field that bears on the vector, but neither the encoding nor the rest of the input.
/// </summary>
public sealed partial class EmbeddingCache(
    IConnectionMultiplexer redis, UserKeys userKeys, IOptions<CachingOptions> options, TimeProvider time, ILogger<EmbeddingCache> logger)
{
    private const string Purpose = "embedding-cache";

    /// <summary>Raised by hand when the meaning of an entry changes.</summary>
    private const byte Version = 1;

    /// <summary>Names asked for in one command: thousands of vectors in one answer would hold up everybody else's.</summary>
    private const int MaxNames = 256;
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);

    public async ValueTask<EmbeddingItems> ItemsAsync(ChatCall call, EmbeddingRequest request, CancellationToken cancellationToken)
    {
        var cipher = await userKeys.GetAsync(call.Caller.TenantId, call.Caller.UserId, cancellationToken);
        var known = new Dictionary<Guid, EmbeddingItem>();
        var items = new List<EmbeddingItem>();
        var text = new ArrayBufferWriter<byte>(1024);
        foreach (var (place, input) in request.Each.Index())
        {
            var ids = new Guid[call.Route.Count];
            for (var target = 0; target < ids.Length; target++)
            {
                text.ResetWrittenCount();
                using (var writer = new Utf8JsonWriter(text))
                    Write(writer, call, request, call.Route[target], input);
                ids[target] = new Guid(cipher.Mac(text.WrittenSpan, Purpose).AsSpan(0, 16));
            }

            if (known.TryGetValue(ids[0], out var item))
                item.Places.Add(place);
            else
                items.Add(known[ids[0]] = new EmbeddingItem([place], ids));
        }

        return new EmbeddingItems(call.Caller.TenantId, cipher, items);
    }

    /// <summary>Looks for what is missing.</summary>
    /// <param name="items">The items.</param>
    /// <param name="found">What is found is put at its item's place; what is there already is not looked for.</param>
    public async Task FindAsync(EmbeddingItems items, KeptVector?[] found)
    {
        var names = new List<(int Item, Guid Id)>();
        for (var i = 0; i < found.Length; i++)
        {
            if (found[i] is null)
                names.AddRange(items.Items[i].Ids.Select(id => (i, id)));
        }

        try
        {
            foreach (var chunk in names.Chunk(MaxNames))
            {
                var values = await redis.GetDatabase().StringGetAsync([ReplyCache.EpochOf(items.TenantId), .. chunk.Select(n => Name(items.TenantId, n.Id))]);
                for (var i = 0; i < chunk.Length; i++)
                {
                    if (!values[i + 1].IsNull)
                        found[chunk[i].Item] ??= Open(items, chunk[i].Id, (byte[])values[i + 1]!, (long?)values[0] ?? 0);
                }
            }
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            LogUnread(logger, e);
        }
    }

    /// <param name="items">The request's.</param>
    /// <param name="target">The place in the route of the target that served.</param>
    /// <param name="made">Items by their number, with their vectors.</param>
    public async Task KeepAsync(EmbeddingItems items, int target, IReadOnlyList<(int Item, KeptVector Vector)> made)
    {
        try
        {
            var database = redis.GetDatabase();
            var epoch = (long?)await database.StringGetAsync(ReplyCache.EpochOf(items.TenantId)) ?? 0;
            var batch = database.CreateBatch();
            var keeping = new List<Task>(made.Count);
            foreach (var (item, vector) in made)
            {
                var id = items.Items[item].Ids[target];
                keeping.Add(batch.StringSetAsync(Name(items.TenantId, id), items.Cipher.Encrypt(Pack(epoch, vector), Place(id)), TimeSpan.FromSeconds(options.Value.TtlSeconds)));
            }

            batch.Execute();
            await Task.WhenAll(keeping);
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            LogUnread(logger, e);
        }
    }

    /// <summary>
    /// Takes the right to make what is missing; what others are making is waited for. Rights are taken in the order of their names, and
    /// nobody waits while holding a later one: two requests with some items in common cannot wait for each other.
    /// </summary>
    /// <param name="items">The items.</param>
    /// <param name="found">What comes in while waiting is put there.</param>
    /// <param name="token">Names the holder.</param>
    /// <param name="held">Takes the rights; they are to be given back by <see cref="LandAsync"/>, however this ends.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public async Task TakeFlightsAsync(EmbeddingItems items, KeptVector?[] found, string token, List<Guid> held, CancellationToken cancellationToken)
    {
        var start = time.GetTimestamp();
        Guid[] pending = [.. Missing()];
        try
        {
            while (pending.Length > 0)
            {
                var taken = await Task.WhenAll(pending.Select(id => redis.GetDatabase().LockTakeAsync(FlightOf(items.TenantId, id), token, TimeSpan.FromSeconds(Math.Max(1, options.Value.SingleFlightSeconds)))));
                var first = Array.IndexOf(taken, false);
                held.AddRange(pending.Where((_, i) => taken[i]));
                if (first >= 0)
                {
                    Guid[] later = [.. pending.Skip(first + 1).Where((_, i) => taken[first + 1 + i])];
                    await LandAsync(items.TenantId, later, token);
                    held.RemoveAll(later.Contains);
                    if (!await HasLandedAsync(items.TenantId, pending[first], start, cancellationToken))
                        return;
                }

                // Also what was made between the first look and the taking.
                await FindAsync(items, found);
                if (first < 0)
                    return;
                pending = [.. Missing().Except(held)];
            }
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            LogUnread(logger, e);
        }

        IEnumerable<Guid> Missing() => items.Items.Where((_, i) => found[i] is null).Select(i => i.Flight).Order();
    }

    public async Task LandAsync(Guid tenantId, IReadOnlyCollection<Guid> flights, string token)
    {
        try
        {
            await Task.WhenAll(flights.Select(id => redis.GetDatabase().LockReleaseAsync(FlightOf(tenantId, id), token)));
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            // The locks end by themselves.
            LogUnread(logger, e);
        }
    }

    private async Task<bool> HasLandedAsync(Guid tenantId, Guid flight, long start, CancellationToken cancellationToken)
    {
        while (time.GetElapsedTime(start) < TimeSpan.FromSeconds(options.Value.SingleFlightSeconds))
        {
            if (!await redis.GetDatabase().KeyExistsAsync(FlightOf(tenantId, flight)))
                return true;
            await Task.Delay(Poll, time, cancellationToken);
        }

        return false;
    }

    private KeptVector? Open(EmbeddingItems items, Guid id, byte[] kept, long epoch)
    {
        try
        {
            using var reader = new BinaryReader(new MemoryStream(items.Cipher.Decrypt(kept, Place(id))));
            if (reader.ReadInt64() != epoch)
                return null;
            var (provider, model, replyModel, cost) = (reader.ReadString(), reader.ReadString(), reader.ReadString(), reader.ReadDecimal());
            return new KeptVector(provider, model, replyModel, cost, reader.ReadBytes(reader.ReadInt32()));
        }
        catch (Exception e) when (e is CryptographicException or EndOfStreamException)
        {
            LogUnread(logger, e);
            return null;
        }
    }

    private static byte[] Pack(long epoch, KeptVector vector)
    {
        using var bytes = new MemoryStream(vector.Vector.Length + 128);
        using (var writer = new BinaryWriter(bytes, Encoding.UTF8, leaveOpen: true))
        {
            writer.Write(epoch);
            writer.Write(vector.Provider);
            writer.Write(vector.Model);
            writer.Write(vector.ReplyModel);
            writer.Write(vector.Cost);
            writer.Write(vector.Vector.Length);
            writer.Write(vector.Vector);
        }

        return bytes.ToArray();
    }

    private static void Write(Utf8JsonWriter writer, ChatCall call, EmbeddingRequest request, PricedTarget target, JsonElement input)
    {
        writer.WriteStartArray();
        writer.WriteNumberValue(Version);
        writer.WriteStringValue(call.Caller.TenantId);
        writer.WriteStringValue(call.Caller.UserId);
        // Another model behind the name gives other vectors.
        writer.WriteStringValue(target.Target.VectorSpace);
        writer.WriteStringValue(target.Target.Provider);
        writer.WriteStringValue(target.Target.UpstreamModel);
        // Dimensions, and whatever else a provider may know.
        foreach (var field in request.Json.EnumerateObject().OrderBy(static f => f.Name, StringComparer.Ordinal))
        {
            if (field.Name is "model" or "input" or "encoding_format" or "user")
                continue;
            writer.WriteStringValue(field.Name);
            field.Value.WriteTo(writer);
        }

        // Written anew, so that one text has one name however its JSON escapes it.
        input.WriteTo(writer);
        writer.WriteEndArray();
    }

    private static RedisKey Name(Guid tenantId, Guid id) => $"aia:cache:embedding:{tenantId:N}:{id:N}";

    private static ContentPlace Place(Guid id) => new("cache", "embedding", id);

    private static RedisKey FlightOf(Guid tenantId, Guid id) => $"aia:cache:flight:{tenantId:N}:{id:N}";

    [LoggerMessage(Level = LogLevel.Warning, Message = "The embeddings cache could not be used; the call goes to the provider")]
    private static partial void LogUnread(ILogger logger, Exception exception);
}
