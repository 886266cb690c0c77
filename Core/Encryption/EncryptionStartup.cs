using Microsoft.Extensions.Hosting;
using Npgsql;

namespace AiAspire.Core.Encryption;

/// <summary>
/// Before any other service of the host starts, and so before it is ready: the master key answers, and no erased user's key is there.
/// </summary>
internal sealed class EncryptionStartup(IMasterKey masterKey, MasterKeyUses uses, TombstoneReplay replay, NpgsqlDataSource keyStore) : IHostedLifecycleService
{
    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        var current = await masterKey.CurrentKeyIdAsync(cancellationToken);
        await using (var connection = await keyStore.OpenConnectionAsync(cancellationToken))
            await uses.NoteAsync(connection, current, cancellationToken);
        await replay.RunAsync(keyStore, cancellationToken);
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
