using AiAspire.Core.Encryption;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace AiAspire.Bench.Database;

/// <summary>Best of the rounds, one thread.</summary>
internal sealed record CipherSpeed(int Bytes, double SealMicroseconds, double OpenMicroseconds);

/// <summary>A user's cipher, as the processes have it, and how fast it is.</summary>
internal static class CipherBench
{
    private const int Rounds = 7;
    private static readonly (int Bytes, int Calls)[] Sizes = [(64, 50_000), (1_024, 50_000), (16 * 1_024, 5_000), (1_024 * 1_024, 100)];
    private static readonly ContentPlace Place = new("messages", "content", TenantRows.LargeTenant);

    public static async Task<ContentCipher> CipherAsync(string content, string keyStore, string masterKeyFile, CancellationToken cancellationToken)
    {
        await using var services = new ServiceCollection()
            .AddSingleton<IConfiguration>(new ConfigurationBuilder().AddInMemoryCollection([KeyValuePair.Create("Encryption:MasterKeyFile", (string?)masterKeyFile)]).Build())
            .AddLogging()
            .AddSingleton(_ => NpgsqlDataSource.Create(content))
            .AddKeyedSingleton(EncryptionRegistration.KeyStoreConnection, (_, _) => NpgsqlDataSource.Create(keyStore))
            .AddContentEncryption()
            .BuildServiceProvider();
        return await services.GetRequiredService<UserKeys>().GetAsync(TenantRows.LargeTenant, TenantRows.SmallTenant, cancellationToken);
    }

    public static IReadOnlyList<CipherSpeed> Measure(ContentCipher cipher, TimeProvider time)
        => [.. Sizes.Select(size =>
        {
            var text = new byte[size.Bytes];
            var box = cipher.Encrypt(text, Place);
            return new CipherSpeed(size.Bytes, Best(() => cipher.Encrypt(text, Place), size.Calls, time), Best(() => cipher.Decrypt(box, Place), size.Calls, time));
        })];

    private static double Best(Func<byte[]> call, int calls, TimeProvider time)
    {
        var best = double.MaxValue;
        for (var round = 0; round < Rounds; round++)
        {
            var start = time.GetTimestamp();
            for (var i = 0; i < calls; i++)
                call();
            best = Math.Min(best, time.GetElapsedTime(start).TotalMicroseconds / calls);
        }

        return best;
    }
}
