using Aspire.Hosting.Embedded;

namespace Aspire.Hosting.Testing;

/// <summary>Builds the application of an AppHost for a test: the real one, from its <c>Program.cs</c>.</summary>
public static class DistributedApplicationTestingBuilder
{
    /// <summary>Prepares the application of the AppHost that <typeparamref name="TEntryPoint"/> belongs to.</summary>
    public static Task<IDistributedApplicationTestingBuilder> CreateAsync<TEntryPoint>(CancellationToken cancellationToken = default)
        where TEntryPoint : class => CreateAsync<TEntryPoint>([], cancellationToken);

    /// <summary>The same with arguments of the command line.</summary>
    public static Task<IDistributedApplicationTestingBuilder> CreateAsync<TEntryPoint>(string[] args, CancellationToken cancellationToken = default)
        where TEntryPoint : class => Prepare(typeof(TEntryPoint), args, cancellationToken);

    /// <summary>The same with the type given at run time.</summary>
    public static Task<IDistributedApplicationTestingBuilder> CreateAsync(Type entryPoint, CancellationToken cancellationToken = default) =>
        Prepare(entryPoint, [], cancellationToken);

    /// <summary>The same with the type given at run time and arguments of the command line.</summary>
    public static Task<IDistributedApplicationTestingBuilder> CreateAsync(Type entryPoint, string[] args, CancellationToken cancellationToken = default) =>
        Prepare(entryPoint, args, cancellationToken);

    private static Task<IDistributedApplicationTestingBuilder> Prepare(Type entryPoint, string[] args, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return Task.FromResult<IDistributedApplicationTestingBuilder>(new TestingBuilder(entryPoint, args));
    }

    private sealed class TestingBuilder(Type entryPoint, string[] args) : IDistributedApplicationTestingBuilder
    {
        public async Task<DistributedApplication> BuildAsync(CancellationToken cancellationToken = default)
        {
            var folder = Directory.CreateTempSubdirectory("aiaspire-test-").FullName;
            var run = new EntryPointRun(new EmbeddedOptions { Testing = true, DataFolder = folder });
            try
            {
                // What is lost with the machine's power is of no use to a test.
                return await run.StartAsync(entryPoint.Assembly, ["--Postgres:Fsync=off", .. args]).WaitAsync(cancellationToken);
            }
            catch
            {
                Directory.Delete(folder, recursive: true);
                throw;
            }
        }
    }
}

/// <summary>An application under construction for a test.</summary>
public interface IDistributedApplicationTestingBuilder
{
    /// <summary>
    /// Builds the application: a fresh data folder, random ports, nothing on the console, no settings of the machine. Dispose of it
    /// to stop the processes and delete the folder.
    /// </summary>
    Task<DistributedApplication> BuildAsync(CancellationToken cancellationToken = default);
}
