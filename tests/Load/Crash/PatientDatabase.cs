using Npgsql;

namespace AiAspire.Load.Crash;

/// <summary>The application's database, which goes away and comes back: what asks it asks again until then.</summary>
internal sealed class PatientDatabase(string connectionString, TimeProvider time) : IAsyncDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);
    private readonly NpgsqlDataSource _source = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(connectionString) { MaxPoolSize = 8 }.ConnectionString);

    public async Task<List<T>> QueryAsync<T>(string sql, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken, params object[] values)
    {
        while (true)
        {
            try
            {
                await using var command = _source.CreateCommand(sql);
                foreach (var value in values)
                    command.Parameters.Add(new NpgsqlParameter { Value = value });
                await using var reader = await command.ExecuteReaderAsync(cancellationToken);
                var rows = new List<T>();
                while (await reader.ReadAsync(cancellationToken))
                    rows.Add(read(reader));
                return rows;
            }
            catch (NpgsqlException e) when (e.IsTransient || e is not PostgresException)
            {
                await Task.Delay(Pause, time, cancellationToken);
            }
        }
    }

    public async Task<int> CountAsync(string sql, CancellationToken cancellationToken, params object[] values)
        => (await QueryAsync(sql, row => (int)row.GetInt64(0), cancellationToken, values)).Single();

    public ValueTask DisposeAsync() => _source.DisposeAsync();
}
