using AiAspire.Api.DataProtection;
using AiAspire.Core.Encryption;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;

namespace AiAspire.Integration.Encryption;

/// <summary>One more process of the system, as far as keys go: its own cache over a key store.</summary>
internal sealed class KeyStoreReplica : IAsyncDisposable
{
    private readonly ServiceProvider _services;
    private bool _started;

    /// <param name="content">Connection string of the content database, which holds the audit log.</param>
    /// <param name="keyStore">Connection string of the key store.</param>
    /// <param name="encryption">Settings of the section <c>Encryption</c>; of two with the same name the later holds.</param>
    public KeyStoreReplica(string content, string keyStore, params (string Key, string? Value)[] encryption)
    {
        var services = new ServiceCollection();
        services.AddSingleton<IConfiguration>(new ConfigurationBuilder()
            .AddInMemoryCollection(encryption.GroupBy(s => s.Key).Select(s => KeyValuePair.Create($"Encryption:{s.Key}", s.Last().Value)))
            .Build());
        services.AddLogging();
        services.AddSingleton(_ => NpgsqlDataSource.Create(content));
        services.AddKeyedSingleton(EncryptionRegistration.KeyStoreConnection, (_, _) => NpgsqlDataSource.Create(keyStore));
        services.AddContentEncryption();
        services.AddSharedKeyRing();
        _services = services.BuildServiceProvider();
    }

    public UserKeys Users => _services.GetRequiredService<UserKeys>();

    public KeyRotation Rotation => _services.GetRequiredService<KeyRotation>();

    public IDataProtectionProvider DataProtection => _services.GetRequiredService<IDataProtectionProvider>();

    public IMasterKey MasterKey => _services.GetRequiredService<IMasterKey>();

    public Task<int> ReplayAsync() => _services.GetRequiredService<TombstoneReplay>().RunAsync(
        _services.GetRequiredKeyedService<NpgsqlDataSource>(EncryptionRegistration.KeyStoreConnection), TestContext.Current.CancellationToken);

    /// <summary>Goes through what a host does with the registered services before it is ready.</summary>
    public async Task StartAsync()
    {
        _started = true;
        foreach (var service in _services.GetServices<IHostedService>().OfType<IHostedLifecycleService>())
            await service.StartingAsync(TestContext.Current.CancellationToken);
        foreach (var service in _services.GetServices<IHostedService>())
            await service.StartAsync(TestContext.Current.CancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        if (_started)
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30), TimeProvider.System);
            foreach (var service in _services.GetServices<IHostedService>().Reverse())
                await service.StopAsync(limit.Token);
        }

        await _services.DisposeAsync();
    }
}
